#!/bin/sh
# Starts headrace with the machine code that the image brings. It is linked, not copied, into a folder that this process
# may write, since Numba takes no cache that it could not also add to, and the image may be mounted read-only.
set -eu
kernels=/opt/headrace/kernels
: "${NUMBA_CACHE_DIR:=${TMPDIR:-/tmp}/headrace-kernels}"
export NUMBA_CACHE_DIR
[ -d "$NUMBA_CACHE_DIR" ] || { mkdir -p "$NUMBA_CACHE_DIR" && cp -rs "$kernels/." "$NUMBA_CACHE_DIR"; }

# Machine code for a processor that is not this one would end in an illegal instruction.
. /opt/headrace/processor
for flag in $PROCESSOR_FLAGS; do
  if ! grep -qw -- "$flag" /proc/cpuinfo; then
    echo "entrypoint: this processor has no $flag: kernels are compiled for it now, which takes a minute" >&2
    NUMBA_CPU_NAME= NUMBA_CPU_FEATURES=
    break
  fi
done
if [ -n "$NUMBA_CPU_NAME" ]; then export NUMBA_CPU_NAME NUMBA_CPU_FEATURES; else unset NUMBA_CPU_NAME NUMBA_CPU_FEATURES; fi

exec headrace "$@"
