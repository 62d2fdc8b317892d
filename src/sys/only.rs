//! Methods and modules that only some systems have stand inside one of these macros, so
//! that the public files name no system.

/// Each macro passes its items on under one condition.
macro_rules! only {
    ($($(#[$doc:meta])* $name:ident = $condition:meta;)*) => {$(
        only! { @define [$] $(#[$doc])* $name = $condition }
    )*};
    (@define [$d:tt] $(#[$doc:meta])* $name:ident = $condition:meta) => {
        $(#[$doc])*
        #[allow(unused_macros)] // on a system without sockets most of these guard nothing
        macro_rules! $name {
            ($d($d item:item)*) => {$d(
                #[cfg($condition)]
                #[cfg_attr(docsrs, doc(cfg($condition)))]
                $d item
            )*};
        }
        #[allow(unused_imports)]
        pub(crate) use $name;
    };
}

only! {
    /// Where socket2 compiles; the same words stand in `Cargo.toml`.
    only_socket2 = any(unix, windows, all(target_os = "wasi", not(target_env = "p1")));
    /// Where there are handles to borrow.
    only_handles = any(unix, windows, target_os = "wasi");
    /// Where a datagram that found nobody fails a receive of all.
    only_windows = windows;
    /// Where `std::os::unix` is.
    only_unix = unix;
    /// Where a descriptor is all there is to write to.
    only_fd = any(unix, target_os = "wasi");
    /// Where tokio's sockets and processes compile; the same words stand in `Cargo.toml`.
    only_tokio = all(
        feature = "tokio",
        any(unix, windows),
        not(any(target_family = "wasm", target_os = "espidf"))
    );
    /// Where mio compiles; the same words stand in `Cargo.toml`.
    only_mio = all(feature = "mio", any(unix, windows), not(target_family = "wasm"));
    /// Where async-io compiles; the same words stand in `Cargo.toml`.
    only_async_io = all(feature = "async-io", any(unix, windows), not(target_family = "wasm"));
    /// Where OpenSSL is.
    only_openssl = all(feature = "openssl", any(unix, windows), not(target_family = "wasm"));
    /// `socketpair`.
    only_pair = unix;
    /// `F_DUPFD_CLOEXEC` or `WSADuplicateSocketW` (socket2 `Socket::try_clone`).
    only_clone = not(target_os = "wasi");
    /// `FIONBIO`'s answer (socket2 `Socket::nonblocking`).
    only_nonblocking = any(
        all(unix, not(target_os = "vita")),
        all(target_os = "wasi", not(target_env = "p1"))
    );
    /// `MSG_OOB`.
    only_out_of_band = not(target_os = "wasi");
    /// `sendmsg` (socket2 `Socket::send_vectored`).
    only_sendmsg = not(any(target_os = "redox", target_os = "wasi", target_os = "horizon"));
    /// The others.
    only_no_sendmsg = any(target_os = "redox", target_os = "wasi", target_os = "horizon");
    /// `recvmsg` (socket2 `Socket::recvmsg`).
    only_recvmsg = all(unix, not(any(target_os = "redox", target_os = "horizon")));
    /// `sendfile` from a file to a socket (socket2 `Socket::sendfile`).
    only_sendfile = any(
        target_os = "aix",
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "tvos",
        target_os = "visionos",
        target_os = "watchos"
    );
    /// `SO_PEERCRED` or `getpeereid`, where std has its unstable `peer_cred`.
    only_peer_cred = any(
        target_os = "android",
        target_os = "cygwin",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "nto",
        target_os = "openbsd",
        target_vendor = "apple"
    );
    /// `SO_MARK`, `SO_USER_COOKIE` or `SO_RTABLE`, where std has its unstable `set_mark`.
    only_mark = any(target_os = "linux", target_os = "freebsd", target_os = "openbsd");
}
