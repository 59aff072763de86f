#!/bin/sh
# Prints for which processors the image's machine code is, as settings of a shell. Numba takes cached code only for the
# very processor and features that it was compiled for; left alone, those of the machine that built the image.
case $(uname -m) in
  x86_64)
    # Haswell (2013) and Zen (2017) and all since; AVX-512 is left out.
    echo 'NUMBA_CPU_NAME=x86-64-v3'
    echo 'PROCESSOR_FLAGS="avx avx2 bmi1 bmi2 f16c fma abm movbe"'
    ;;
  *)
    echo 'NUMBA_CPU_NAME=generic'
    echo 'PROCESSOR_FLAGS='
    ;;
esac
echo 'NUMBA_CPU_FEATURES='
