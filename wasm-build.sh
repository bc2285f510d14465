#!/usr/bin/env bash
# Builds the guests to guests/build/: C with Debian's clang (guests/*.c and those in examples/, kernels/, kv/,
# pools/), text
# modules with wabt (guests/*.wat), Rust with Debian's rustc (guests/rust/*.rs).
# `./wasm-build.sh --help` says how to call it.
#
# Invariants
# 1. The same sources and the same toolchain give the same bytes, in whatever directory: sources
#    are named by relative paths, objects get fixed names, and no date goes in. `--check` builds
#    in another directory than the first build did, and so holds the script to it.
# 2. Modules keep their name section (traps and stack pictures need names) and lose debug sections.
# 3. guests/build/ changes only when everything was built: no half-new set of modules.
set -euo pipefail
shopt -s nullglob
export LC_ALL=C

readonly packages=(clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 wabt rustc
  libstd-rust-dev-wasm32)
readonly clang=/usr/bin/clang-14
readonly wat2wasm=/usr/bin/wat2wasm
readonly rustc=/usr/bin/rustc

# Exit codes, beside 0 and the compiler's own failures (1).
readonly exit_usage=2
readonly exit_different=3
readonly exit_no_toolchain=4
readonly exit_other_toolchain=5

usage() {
  cat <<'USAGE'
usage: ./wasm-build.sh [--check | --help]

Builds every guest in guests/ to guests/build/, and writes guests/build/SHA256SUMS and
guests/build/TOOLCHAIN. On Debian 12, as root, it installs what is missing; elsewhere it says what
to install.

  --check   build into a temporary directory, install and change nothing, and compare the digests
            with guests/build/SHA256SUMS
  --help    this text

exit status: 0 done (with --check: all digests are equal); 1 a guest does not compile; 2 wrong
usage; 3 --check found a difference; 4 the toolchain is not there; 5 --check was asked of another
toolchain than the one in guests/build/TOOLCHAIN, so that digests can't be compared
USAGE
}

# What a guest needs beyond the flags of all. Instructions that every engine has are still off by
# default in this clang, so that each feature is proven by a guest of its own.
flags_of() {
  case "$1" in
    bulk-memory) echo "-mbulk-memory" ;;
    changed-table) echo "-mreference-types" ;;
    conversions) echo "-msign-ext -mnontrapping-fptoint" ;;
    multi-value) echo "-mmultivalue -Xclang -target-abi -Xclang experimental-mv" ;;
    simd) echo "-msimd128" ;;
    tail-calls) echo "-mtail-call" ;;
    *) echo "" ;;
  esac
}

missing_packages() {
  local missing=()
  [[ -x $clang ]] || missing+=(clang-14)
  # clang finds its linker beside itself, under the linker's plain name.
  [[ -x /usr/lib/llvm-14/bin/wasm-ld ]] || missing+=(lld-14)
  [[ -f /usr/lib/wasm32-wasi/libc.a ]] || missing+=(wasi-libc)
  [[ -n $(compgen -G '/usr/lib/llvm-14/lib/clang/14*/lib/wasi/libclang_rt.builtins-wasm32.a') ]] ||
    missing+=(libclang-rt-14-dev-wasm32)
  [[ -x $wat2wasm ]] || missing+=(wabt)
  [[ -x $rustc ]] || missing+=(rustc)
  [[ -d /usr/lib/rustlib/wasm32-wasi ]] || missing+=(libstd-rust-dev-wasm32)
  echo "${missing[*]}"
}

require_toolchain() {
  local may_install=$1 missing
  missing=$(missing_packages)
  [[ -z $missing ]] && return
  if [[ $may_install == yes && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "installing $missing"
    # Where the system has no such packages, apt-get says so, and what is below says the rest.
    # shellcheck disable=SC2086 # the list is words
    { apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing; } \
      >/dev/null || true
    missing=$(missing_packages)
    [[ -z $missing ]] && return
  fi
  echo "error: the guests' toolchain lacks: $missing" >&2
  echo "try: apt-get install --no-install-recommends ${packages[*]}   (Debian 12, as root)" >&2
  exit "$exit_no_toolchain"
}

# The exact packages, one a line: digests can be compared between equal lists only.
toolchain() {
  if command -v dpkg-query >/dev/null; then
    # shellcheck disable=SC2016 # dpkg's own variables
    dpkg-query --show --showformat '${Package} ${Version}\n' "${packages[@]}" | sort
  else
    "$clang" --version | head -n 1
    "$wat2wasm" --version
    "$rustc" --version
  fi
}

# Each compiles one source. All run in guests/, so that no path of this machine gets into a module.
#
# For C, compiling and linking are two steps because clang runs Binaryen's wasm-opt after a link
# with -O when it finds one on PATH: the result would depend on what else is installed.
build_c() {
  local source=$1 module=$2 flags
  flags=$(flags_of "$(basename "$source" .c)")
  # shellcheck disable=SC2086 # the flags are words
  "$clang" --target=wasm32-wasi -c -O2 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-function \
    -Iinclude -ffile-prefix-map="$PWD"=. $flags "$source" -o "$work/object.o"
  "$clang" --target=wasm32-wasi "$work/object.o" -o "$module" \
    -Wl,--strip-debug -Wl,--stack-first -Wl,-z,stack-size=1048576
}

build_wat() {
  "$wat2wasm" --debug-names "$1" --output "$2"
}

build_rust() {
  "$rustc" --target wasm32-wasi --edition 2021 -D warnings -C opt-level=2 -C panic=abort \
    -C lto=fat -C strip=debuginfo --remap-path-prefix "$PWD"=. "$1" -o "$2"
}

build_all() {
  local out=$1 source module
  mkdir -p "$out/examples" "$out/kernels" "$out/kv" "$out/pools"
  for source in *.c *.wat examples/*.c kernels/*.c kv/*.c pools/*.c rust/*.rs; do
    module=${source%.*}.wasm
    module=$out/${module#rust/}
    case "$source" in
      *.c) build_c "$source" "$module" ;;
      *.wat) build_wat "$source" "$module" ;;
      *.rs) build_rust "$source" "$module" ;;
    esac
    echo "built ${module#"$out/"} from $source: $(stat -c %s "$module") bytes"
  done
  (cd "$out" && find . -name '*.wasm' | sed 's|^\./||' | sort | xargs sha256sum >SHA256SUMS)
  toolchain >"$out/TOOLCHAIN"
}

main() {
  local mode=${1:-build}
  case "$mode" in
    --help | -h) usage && exit 0 ;;
    build | --check) ;;
    *) usage >&2 && exit "$exit_usage" ;;
  esac
  [[ $# -le 1 ]] || { usage >&2 && exit "$exit_usage"; }

  cd "$(dirname "${BASH_SOURCE[0]}")/guests"
  require_toolchain "$([[ $mode == build ]] && echo yes || echo no)"
  if [[ $mode == --check ]] && ! diff build/TOOLCHAIN <(toolchain) >&2; then
    echo "error: guests/build/ was built by another toolchain; its digests can't be compared" >&2
    exit "$exit_other_toolchain"
  fi

  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  build_all "$work/build"

  if [[ $mode == --check ]]; then
    if diff build/SHA256SUMS "$work/build/SHA256SUMS" >&2; then
      echo "same digests: $(wc -l <build/SHA256SUMS) modules"
    else
      echo "error: these modules are not what their sources give; run ./wasm-build.sh" >&2
      exit "$exit_different"
    fi
  else
    rm -rf build
    cp -r "$work/build" build
  fi
}

main "$@"
