# Sourced by the other scripts: packages, and compilers for other systems.

# install PACKAGE...: from Debian, after an update: old lists may name versions that are gone, or
# another Rust.
install() {
    apt-get update || true
    apt-get install -y --no-install-recommends "$@"
}

# need COMMAND PACKAGE...: installs the packages if the command is missing.
need() {
    command -v "$1" >/dev/null || install "${@:2}"
}

# unpack PACKAGE...: unpacks Debian packages to the current directory, and installs nothing.
unpack() {
    local directory=$PWD
    mkdir -p packages
    (
        cd packages
        apt-get download "$@"
        for file in *.deb; do dpkg-deb -x "$file" "$directory"; done
    )
}

# same_table SECTION ROW...: whether the rows are those that a section of docs/hosts.md marks as
# run, whatever the versions. Prints the difference. ($root is the directory of the project.)
same_table() {
    local section=$1
    shift
    diff <(sed -n "/^## $section\$/,/^## /p" "$root/docs/hosts.md" | sed -n 's/ run (.*//p') \
        <(printf '%s\n' "$@" | sed 's/ run (.*//')
}

# The command that runs a program in gVisor. Loopback is its only network.
gvisor=(runsc --network=none --platform=ptrace do)

# has_gvisor: whether programs run in gVisor here. Installs it.
has_gvisor() {
    need runsc runsc && "${gvisor[@]}" true
}

# need_openssl: installs what the build of epipe-openssl needs.
need_openssl() {
    pkg-config --exists openssl 2>/dev/null || install pkg-config libssl-dev
}

# borrow_openssl: makes openssl-sys use this machine's headers for every target. They are not the
# target's, but they agree on the few functions in use. That is enough to type-check, not to link.
borrow_openssl() {
    need_openssl
    local libraries
    libraries=$(pkg-config --variable=libdir openssl)
    export OPENSSL_NO_PKG_CONFIG=1 OPENSSL_LIBS=ssl:crypto OPENSSL_LIB_DIR=$libraries
    export OPENSSL_INCLUDE_DIR=/usr/include CFLAGS=-I/usr/include/$(basename "$libraries")
    export CC=cc CRATE_CC_NO_DEFAULTS=1
}

# need_programs: the servers that vanish in the scenes. nginx is unpacked to the build directory. It
# is not installed, as this would start it.
need_programs() {
    need openssl openssl
    command -v nginx >/dev/null && return
    local directory
    directory=$(realpath -m "${CARGO_TARGET_DIR:-target}/nginx")
    if [ ! -x "$directory/usr/sbin/nginx" ]; then
        mkdir -p "$directory"
        apt-get update || true
        (cd "$directory" && apt-get download nginx && dpkg-deb -x ./nginx_*.deb .)
    fi
    export PATH=$PATH:$directory/usr/sbin
}

# debian_library: the source of std 1.96 from Debian's rust-web-src. Prints nothing without it.
debian_library() {
    ls -d /usr/src/rustc-1.96*/library 2>/dev/null | tail -n 1 || true
}

# has_std TARGET: whether rustup has a std for the target. Installs it.
has_std() {
    timeout 120 rustup target add "$1"
}

# cargo_building_std COMMAND TARGET ARGUMENT...: Debian's cargo (rustc-web, rust-web-src), which
# builds the target's std from source. It serves targets for which rustup has no std.
# (BUILD_STD=core builds only core.)
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
    *-windows-gnu) # dlltool makes std's import libraries, also for a check
        need x86_64-w64-mingw32-dlltool binutils-mingw-w64-x86-64
        ;;
    esac
    env -u RUSTUP_TOOLCHAIN PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        /usr/bin/cargo "$command" -Zbuild-std="${BUILD_STD:-$crates}" $features \
        --target "$target" "$@"
}
