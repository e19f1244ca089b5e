#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the specs with every use of memory watched, by the sanitizers (which BUILD was made with) or by valgrind:
#   CC=... LUA=... checked.sh asan|memcheck BUILD SPEC...
# Each spec file runs in a process of its own, JOBS of them at a time. Watched are the interpreter, the interpreters that specs
# start as `env.lua`, and the program omni; not so the other programs that they start. What is found lies in files, so that
# nothing gets lost in a child whose output nobody reads; each such report counts as a failure.
set -eu
how=$1 build=$(pwd)/$2
shift 2
work=$(pwd)/build/$how
rm -rf "$work/report" "$work/said"
mkdir -p "$work/report" "$work/said"
lua=$(command -v "$LUA")

# wrapper FILE COMMAND: a program that runs a command with the arguments that it is given.
wrapper() {
  printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$1"
  chmod +x "$1"
}

case $how in
  asan)
    # Not by LD_PRELOAD, which would reach all that is started from there.
    loader=$(ldd "$lua" | sed -n 's/^[^/]*\(\/[^ ]*\/ld-[^ ]*\).*/\1/p')
    runtime="$($CC -print-file-name=libasan.so) $($CC -print-file-name=libubsan.so)"
    wrapper "$work/lua" "$loader --preload '$runtime' $lua"
    export OMNI="$build/omni" OMNI_TEST_SLOWNESS=4
    export ASAN_OPTIONS="log_path='$work/report/asan':detect_stack_use_after_return=1:strict_string_checks=1:print_legend=0"
    export UBSAN_OPTIONS="log_path='$work/report/ubsan':print_stacktrace=1"
    export LSAN_OPTIONS="suppressions='$(pwd)/spec/helper/lsan.supp':print_suppressions=0"
    ;;
  memcheck)
    valgrind="$(command -v valgrind) -q --vgdb=no --child-silent-after-fork=yes --keep-debuginfo=yes --num-callers=25"
    valgrind="$valgrind --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99"
    valgrind="$valgrind --suppressions='$(pwd)/spec/helper/valgrind.supp' --log-file='$work/report/%p'"
    wrapper "$work/lua" "$valgrind $lua"
    wrapper "$work/omni" "$valgrind '$build/omni'"
    export OMNI="$work/omni" OMNI_TEST_SLOWNESS=20
    ;;
esac
export work OMNI_TEST_LUA="$work/lua" LUA_CPATH="$build/lib/?.so;;"

find "$@" -name '*_spec.lua' | sort | xargs -P "${JOBS:-$(nproc)}" -n 1 sh -c '
  said=$work/said/$(basename "$0" .lua)
  timeout -k 5 1200 "$work/lua" spec/helper/busted.lua "$0" -o spec/helper/summary.lua >"$said" 2>&1 || cat "$said"
  echo "$0: $(tail -n 1 "$said")"' || true

# Lines that begin with "--" are valgrind's own worries (an unknown system call), not about the program.
reports=0
for report in "$work"/report/*; do
  [ -e "$report" ] && grep -qv '^--' "$report" || continue
  reports=$((reports + 1))
  echo "== $report"
  cat "$report"
done
tail -q -n 1 "$work"/said/* | awk -v failed="$reports" '
  /^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; skipped += $5; next }
  { failed++ } # it broke off
  END { printf "\n%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""; exit failed > 0 }'
