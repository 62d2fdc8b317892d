# Sourced by the scripts beside it: compilers for other systems.

# install PACKAGE...: from Debian, as new as fresh lists know it: old ones may name versions that
# are gone, or another Rust.
install() {
    apt-get update || true
    apt-get install -y --no-install-recommends "$@"
}

# need COMMAND PACKAGE...: installs the packages if the command is missing.
need() {
    command -v "$1" >/dev/null || install "${@:2}"
}

# unpack PACKAGE...: unpacks Debian's to the current folder and installs nothing.
unpack() {
    local folder=$PWD
    mkdir -p packages
    (
        cd packages
        apt-get download "$@"
        for file in *.deb; do dpkg-deb -x "$file" "$folder"; done
    )
}

# same_table SECTION ROW...: whether the rows are those that a section of docs/bindings.md knows by
# a run, whatever the versions; prints the difference. (The folder of the project is in $root.)
same_table() {
    local section=$1
    shift
    diff <(sed -n "/^## $section\$/,/^## /p" "$root/docs/bindings.md" | sed -n 's/ run (.*//p') \
        <(printf '%s\n' "$@" | sed 's/ run (.*//')
}

# How a program is run in gVisor: loopback is the only network there.
gvisor=(runsc --network=none --platform=ptrace do)

# has_gvisor: whether programs run in gVisor here; installs it.
has_gvisor() {
    need runsc runsc && "${gvisor[@]}" true
}

# need_openssl: what epipe-openssl is built with.
need_openssl() {
    pkg-config --exists openssl 2>/dev/null || install pkg-config libssl-dev
}

# borrow_openssl: has openssl-sys take this machine's headers for every target. They are not the
# target's, but say the same of the few functions in use: enough to type-check, not to link.
borrow_openssl() {
    need_openssl
    local libraries
    libraries=$(pkg-config --variable=libdir openssl)
    export OPENSSL_NO_PKG_CONFIG=1 OPENSSL_LIBS=ssl:crypto OPENSSL_LIB_DIR=$libraries
    export OPENSSL_INCLUDE_DIR=/usr/include CFLAGS=-I/usr/include/$(basename "$libraries")
    export CC=cc CRATE_CC_NO_DEFAULTS=1
}

# need_programs: the servers whose end the scenes play. nginx is unpacked to the build folder and
# not installed, which would start it.
need_programs() {
    need openssl openssl
    command -v nginx >/dev/null && return
    local folder
    folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/nginx")
    if [ ! -x "$folder/usr/sbin/nginx" ]; then
        mkdir -p "$folder"
        apt-get update || true
        (cd "$folder" && apt-get download nginx && dpkg-deb -x ./nginx_*.deb .)
    fi
    export PATH=$PATH:$folder/usr/sbin
}

# debian_library: the source of std 1.96 that Debian's rust-web-src has brought; nothing where it
# has not.
debian_library() {
    ls -d /usr/src/rustc-1.96*/library 2>/dev/null | tail -n 1 || true
}

# has_std TARGET: whether rustup has a std for the target; installs it.
has_std() {
    timeout 120 rustup target add "$1"
}

# cargo_building_std COMMAND TARGET ARGUMENT...: Debian's cargo (rustc-web, rust-web-src), which
# builds the target's std from source. For the targets that rustup has no std for. (BUILD_STD=core
# builds core alone.)
cargo_building_std() {
    local command=$1 target=$2
    shift 2
    if [ ! -x /usr/bin/cargo ] || [ -z "$(debian_library)" ]; then
        install rustc-web cargo-web rust-web-src
    fi
    local crates=std,panic_abort features=-Zbuild-std-features=
    if [ "$command" = test ]; then # tests unwind
        crates+=,panic_unwind
        features=
    fi
    case $target in
    *-fuchsia) # std does not build without its default features
        features=
        ;;
    *-windows-gnu) # std's import libraries are made by dlltool, also for a check
        need x86_64-w64-mingw32-dlltool binutils-mingw-w64-x86-64
        ;;
    esac
    env -u RUSTUP_TOOLCHAIN PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        /usr/bin/cargo "$command" -Zbuild-std="${BUILD_STD:-$crates}" $features \
        --target "$target" "$@"
}
