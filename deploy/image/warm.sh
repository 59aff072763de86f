#!/bin/sh
# Compiles every kernel and runs every shipped model, by deciding some seconds of simulated traffic: what ships has worked.
set -eu
set -a
. /opt/headrace/processor
NUMBA_CACHE_DIR=/opt/headrace/kernels
set +a
for pipeline in fraud vision; do
  headrace demo --pipeline "$pipeline" --rate 50 --seconds 2
done
