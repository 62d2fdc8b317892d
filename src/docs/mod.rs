//! The guide: one page for each question.
//!
//! | you have | page |
//! |---|---|
//! | a crate on std's, socket2's or tokio's sockets | [`migration`] |
//! | axum, hyper, tonic, reqwest, rustls, tracing, redis, postgres | [`recipes`] |
//! | a program with a `main`: `\| head`, logs | [`programs`] |
//! | a library that C calls, or that binds one | [`bindings`] |
//! | a host or a C library: Go, Python, Swift, systemd, Docker, libcurl, libpq | [`hosts`] |
//! | a system: Apple's, the BSDs, gVisor, Android, Windows, WebAssembly | [`platforms`] |
//! | a call that kills today | [`what_dies`] |
//! | a question of speed | [`cost`] |
//! | a doubt: what is not protected | [`limits`] |
//! | your own code to test | [`testing`] |
//! | a distribution's build, a sandbox | [`packagers`] |
//!
//! The same pages stand in `docs/` of the package.

#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/migration.md")]
#[doc(alias("clippy.toml", "disallowed_types", "migrate.py"))]
pub mod migration {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/recipes.md")]
#[doc(alias("axum", "hyper", "tonic", "gRPC", "reqwest", "rustls", "native-tls", "openssl"))]
#[doc(alias("tungstenite", "websocket", "redis", "postgres", "ureq", "tokio", "tracing", "log"))]
#[doc(alias("env_logger", "mio", "smol", "async-std", "socket2", "nix", "rustix"))]
pub mod recipes {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/programs.md")]
#[doc(alias("head", "println", "tracing", "env_logger", "atexit"))]
pub mod programs {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/bindings.md")]
#[doc(alias("FFI", "cdylib", "OpenSSL", "SSL_set_fd", "callback"))]
pub mod bindings {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/hosts.md")]
#[doc(alias("Go", "cgo", "Python", "PyO3", "Swift", "iOS", "lldb", "Xcode", "Android", "JNI"))]
#[doc(alias("Java", "Node", "PHP", "Ruby", "Lua", "Perl", "nginx", "systemd", "Docker", "Podman"))]
#[doc(alias("Kubernetes", "PID 1", "libcurl", "libpq", "libssh2", "libgit2", "hiredis"))]
#[doc(alias("libmosquitto", "librdkafka"))]
pub mod hosts {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/platforms.md")]
#[doc(alias("macOS", "iOS", "Android", "FreeBSD", "NetBSD", "OpenBSD", "gVisor", "Docker"))]
#[doc(alias("Windows", "WASI"))]
pub mod platforms {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/what-dies.md")]
pub mod what_dies {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/cost.md")]
#[doc(alias = "benchmark")]
pub mod cost {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/limits.md")]
#[doc(alias("io_uring", "aio", "seccomp", "println"))]
pub mod limits {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/testing.md")]
#[doc(alias("epipe-testing", "epipe-reset", "epipe-util"))]
pub mod testing {}
#[doc = include_str!("links.md")]
#[doc = include_str!("../../docs/packagers.md")]
#[doc(alias("EPIPE_REFUSE", "seccomp", "sandbox"))]
pub mod packagers {}
