-- SPDX-License-Identifier: MIT
-- Writes the inputs with which the fuzzing of the parsers in parsers.lua begins: `lua5.4 lua_seeds.lua FOLDER` writes FOLDER/PARSER/NUMBER.
-- Prints the parsers' names.

local ffprobe <const> = [[{"streams":[{"index":0,"codec_name":"h264","profile":"High","codec_type":"video","codec_tag_string":"avc1",]]
  .. [["width":1280,"height":720,"has_b_frames":2,"sample_aspect_ratio":"1:1","pix_fmt":"yuv420p","level":31,"r_frame_rate":"24/1",]]
  .. [["avg_frame_rate":"24/1","time_base":"1/12288","start_time":"0.0","duration":"4.0","nb_frames":"96","extradata_hash":"SHA256:0",]]
  .. [["disposition":{"attached_pic":0,"default":1},"side_data_list":[{"rotation":-90}]},{"index":1,"codec_name":"aac",]]
  .. [["codec_type":"audio","sample_rate":"48000","channels":2,"channel_layout":"stereo","time_base":"1/48000","duration":"4.0",]]
  .. [["nb_frames":"%s"}],"format":{"start_time":"0.0","duration":"4.0"}}]]

local seeds = {
  api_keys = { "ak_0123456789abcdef0123456789abcdef", "ak_a,ak_b:4", "ak_0123456789abcdef0123456789abcdef:8 rpm=60, ak_x" },
  board = {
    [=[{"title":"T","style":"s","defaults":{"duration":4},"scenes":[["a",{"prompt":"x"}],["b",{"continues":"a","prompt":"y"}]]}]=],
    [=[{"cut":{"transition":"fade","audio":"m.mp3","size":"1280x720","fps":24},"scenes":[["a",{"prompt":"x","style":false}]]}]=],
    [=[{"references":{"r":"https://x/y.png"},"scenes":[["a",{"prompt":"x","model":"kling/v2","video":{"1":"u","from":1,"to":3}}]]}]=],
  },
  callback_path = { "/0123456789abcdef0123456789abcdef", "/hook/0123456789ABCDEF0123456789ABCDEF/?a=b#c" },
  command_line = { "prompt=x\nduration=4", 'a.b.c=[1,{"d":null}]\na.b=2', "img_urls=[\"https://x/y.png\"]\nx=@file" },
  fault = { "status-500:on=submit,first=2", 'refuse:match="a,b",chance=0.5', "slow:every=3,delay=1,retry_after=2" },
  ffprobe = { ffprobe:format "188" .. "\n", ffprobe:format "" .. "\n0,0.0,0.0,0.04,K__\n0,0.04,N/A,0.04,_D_\n1,0.0,0.0,0.02,K__\n" },
  input_rules = { 'google/gemini-omni\n{"prompt":"x","duration":4,"aspect_ratio":"16:9","img_urls":["https://x/y.png"]}',
    'google/gemini-omni\n{"prompt":"x","video_list":[{"url":"https://x/y.mp4","start":0,"ends":4}]}' },
  json = { [=[{"a":[1,2.5,-1e3,true,null,"\u00e9\ud83d\ude00\\"],"b":{},"c":[]}]=], "[9007199254740993, 1e400, -0.0]", '"x"' },
  ledger_address = { "user:secret@host:5432/db?sslmode=require", "[::1]/db,host2:1/x", "%2Frun%2Fpg/db?password=x" },
  media_type = { "\0\0\0\x18ftypisom", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff\xe0", "RIFF0000WEBPVP8 ", "ID3\3", "<html>", '{"error":1}' },
  mp4_boxes = { "\0\0\0\x10ftypisom\0\0\2\0\0\0\0\x08moov\0\0\0\0mdat123", "\0\0\0\x08ftyp\0\0\0\1mdat\0\0\0\0\0\0\0\x10\0\0\0\x08moov",
    "\0\0\0\1mdat\xff\xff\xff\xff\xff\xff\xff\xff", "\0\0\0\x08moov\0\0\0" },
  schema = {
    [=[{"required":["p"],"properties":{"p":{"type":"string","maxLength":5},"u":{"format":"uri"}}}]=] .. '\n{"p":"x","u":"HTTP://X"}',
    [=[{"anyOf":[{"type":"integer","minimum":1},{"enum":[null]}],"items":{"$ref":"#/definitions/d"},"definitions":{"d":true}}]=] .. "\n[1]",
    [=[{"additionalProperties":false,"properties":{"l":{"type":"array","uniqueItems":true}},"not":{"const":1}}]=] .. '\n{"l":[1,1]}',
  },
  text_encoding = { "\xef\xbb\xbfa=b\r\nc\n", "\xff\xfea\0b\0", "\xfe\xff\0a\0\n", ' "quoted" # comment' },
  urls = { "HTTPS://User@Example.com:443/a/../b?c#d\n../e", "http://[::ffff:1.2.3.4]:80/%7e\n//h/x", "https://xn--nxasmq6b.com\n?q" },
}

local folder, names = arg[1], {}
for parser, list in pairs(seeds) do
  names[#names + 1] = parser
  assert(os.execute(("mkdir -p '%s/%s'"):format(folder, parser)))
  for number, bytes in ipairs(list) do
    local file <close> = assert(io.open(("%s/%s/%d"):format(folder, parser, number), "wb"))
    assert(file:write(bytes))
  end
end
table.sort(names)
print(table.concat(names, " "))
