#!/bin/sh
# SPDX-License-Identifier: MIT
# A client of the service that was written from docs/service.md alone, with curl and jq: what somebody else's would do.
#
#   foreign_client.sh DIRECTORY    CRUN_BASE_URL and CRUN_API_KEY say where and who; prints what it finds, a line each
set -eu
directory=$1
job=/api/v1/client/job

# call METHOD PATH [BODY]: the envelope. The key goes to curl by its standard input, which no other process sees.
call() {
  printf 'header = "x-api-key: %s"\n' "${key-$CRUN_API_KEY}" |
    curl -sS --noproxy '*' -K - -X "$1" -H 'Content-Type: application/json' ${3+--data-binary "$3"} "$CRUN_BASE_URL$2"
}

# data METHOD PATH [BODY]: the data of a success; anything else ends the script.
data() {
  answer=$(call "$@")
  [ "$(printf '%s' "$answer" | jq .code)" = 200 ] || { printf '%s\n' "$answer" >&2; exit 1; }
  printf '%s' "$answer" | jq -c .data
}

code() { call "$@" | jq .code; }
encoded() { jq -rn --arg text "$1" '$text | @uri'; }

# made BODY: submits, waits, and gives the task.
made() {
  accepted=$(data POST "$job/CreateTask" "$1") || exit 1
  id=$(printf '%s' "$accepted" | jq -r .task_id)
  while :; do
    task=$(data GET "$job/TaskInfo?task_id=$(encoded "$id")") || exit 1
    case $(printf '%s' "$task" | jq -r '.status | ascii_downcase') in
      success) break ;;
      failed) printf '%s\n' "$task" >&2; exit 1 ;;
    esac
    sleep 0.1
  done
  printf '%s' "$task"
}

# fetched TASK NAME: downloads its first file. No key goes with it.
fetched() {
  curl -sS --noproxy '*' -f -o "$directory/$2" "$(printf '%s' "$1" | jq -r '.result.media_urls[0]')"
}

balance() { data GET /api/v1/client/account/balance | jq .balance; }

echo "models $(data GET "$job/Models" | jq -c '[.models[].model]')"
echo "images $(data GET "$job/Models?modality=image&operation=text-to-image" | jq -c '[.total, .models[0].model]')"
echo "schema $(data GET "$job/Models/bytedance/seedance" | jq -c '[.input_schema.type, .required_input_fields]')"
echo "defaults $(data GET "$job/Models/kling/v3" | jq -c '.input_schema.properties | [.tags.default, .metadata.default]')"

page=1
names=""
while :; do
  found=$(data GET "$job/kling-templates?page=$page&page_size=25")
  names="$names $(printf '%s' "$found" | jq -r '.templates[].template_id')"
  [ "$(printf '%s' "$found" | jq '.page * .page_size >= .total')" = false ] || break
  page=$((page + 1))
done
echo "templates $page $(printf '%s\n' $names | sort -u | wc -l | tr -d ' ')"

before=$(balance)
body='{"model":"google/gemini-omni","input":{"prompt":"A lighthouse","duration":6,"img_urls":[]}}'
echo "estimate $(data POST "$job/EstimateTask" "$body" | jq -c '[.estimated_credits, .affordable]')"
echo "older $(data POST "$job/estimate-credits" "$body" | jq -c '[.credits, .estimated]')"
[ "$(balance)" = "$before" ]
task=$(made "$body")
fetched "$task" first.mp4
echo "first $(printf '%s' "$task" | jq -c '[.status, .credits, .param.input.duration, .result.media_info.type]')"

place=$(data GET "/api/v1/client/files/upload-url?content_type=image/png&ext=.png")
curl -sS --noproxy '*' -f -o /dev/null -T "$directory/keeper.png" -H 'Content-Type: image/png' \
  "$(printf '%s' "$place" | jq -r .presigned_url)"
body=$(printf '%s' "$place" | jq -c '{model: "vidu/q2", input: {prompt: "The keeper", reference_images: [.file_url], duration: 2}}')
task=$(made "$body")
fetched "$task" second.mp4
echo "second $(printf '%s' "$task" | jq -c '[.status, .credits, .model_version]')"

task=$(made '{"model":"google/nano-banana","input":{"prompt":"The keeper","num_images":2}}')
fetched "$task" third.png
echo "third $(printf '%s' "$task" | jq -c '[.credits, .result.media_info.type, (.result.media_urls | length)]')"
echo "spent $((before - $(balance)))"

echo "codes $(key=ak_wrong code GET /api/v1/client/account/balance) $(code GET "$job/TaskInfo?task_id=none")" \
  "$(code GET "$job/Models/no/such")" "$(code POST "$job/CreateTask" '{"model":"kling/v3","input":{"prompt":"x","duration":99}}')" \
  "$(code GET "$job/vidu-templates?page_size=51")"
