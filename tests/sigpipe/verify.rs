//! `verify` where nobody lies, where nothing can be asked, and in sandboxes.

use std::io::Write;

use epipe::io::PipeWriter;
use epipe::verify;
use epipe::verify::{Error, Technique};

use crate::Scene;
use crate::liar::Liar;
use crate::liars::{can_lie_about, has_send_flag, has_write_flag, machine_is_honest};
use crate::refusals::{socket_writes, without_descriptors};
use crate::seccomp::{Which, can_be_filtered, filter, refuse_write_flag, refusing};
use crate::suites::{can_preload, is_lied_to, strips_sendmmsg};
use crate::support::{
    self, assert_epipe, broken_pipe, dispose, hosts_handler, is_blocked, is_pending, mask,
    raise_at_thread, take_pending,
};

pub fn scenes() -> Vec<Scene> {
    let scenes = [
        Scene::survives("verify: an honest system is protected as protection says", || {
            let protection = verify().unwrap();
            assert_eq!(protection, epipe::protection());
            assert_eq!(protection, verify().unwrap());
            socket_writes();
            assert_epipe(PipeWriter::from(broken_pipe()).write(b"x"));
        }),
        Scene::survives("verify: eight threads at once", || {
            let threads: Vec<_> =
                (0..8).map(|_| std::thread::spawn(|| (0..20).all(|_| verify().is_ok()))).collect();
            assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        }),
        Scene::survives("verify: a pending signal of the host's stays, and is told", || {
            mask(libc::SIG_BLOCK);
            raise_at_thread();
            cannot_ask();
            assert!(take_pending() && !is_pending());
        })
        .only_if(guard_is_of_the_thread()),
        Scene::survives("verify: a blocked signal stays blocked", || {
            mask(libc::SIG_BLOCK);
            verify().unwrap();
            assert!(is_blocked() && !is_pending());
        }),
        Scene::survives("verify: the disposition is the host's", || {
            for disposition in [libc::SIG_IGN, hosts_handler()] {
                dispose(disposition);
                verify().unwrap();
                assert_eq!(support::disposition(), disposition);
            }
        }),
        Scene::survives("verify: no descriptor is left open", || {
            let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = count();
            verify().unwrap();
            assert_eq!(count(), before);
        }),
        Scene::survives("verify: other signals interrupt", || {
            interrupt_every_50_microseconds();
            for _ in 0..100 {
                verify().unwrap();
            }
        }),
        Scene::survives("verify: no descriptor is free", || without_descriptors(cannot_ask)),
    ];
    let scenes = scenes.into_iter().chain(under_libraries()).chain(in_sandboxes());
    let can = !is_lied_to() && machine_is_honest();
    scenes.into_iter().map(|scene| scene.only_if(can)).collect()
}

/// By SIGALRM, whose handler does nothing.
fn interrupt_every_50_microseconds() {
    let step = libc::timeval { tv_sec: 0, tv_usec: 50 };
    let timer = libc::itimerval { it_interval: step, it_value: step };
    // SAFETY: the handler does nothing; the timer is valid for the call.
    unsafe {
        libc::signal(libc::SIGALRM, hosts_handler());
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
}

/// Under libraries that do not lie about what is ours.
fn under_libraries() -> [Scene; 2] {
    // Where even the plain call raises nothing, a flag that is kept looks like one that is not.
    let silent = Liar::strips("nothing and adds it", &["ADDS"]);
    [
        Scene::survives("verify: sendmmsg is not ours", || drop(verify().unwrap()))
            .under(&strips_sendmmsg())
            .only_if(can_preload()),
        Scene::survives("verify: a system that raises nothing tells nothing", cannot_ask)
            .under(&silent)
            .only_if(can_lie_about(Technique::SendFlag)),
    ]
}

/// In sandboxes: what is refused or missing is no lie, and `verify` leaves no trace.
fn in_sandboxes() -> impl Iterator<Item = Scene> {
    let forbidden = [
        ("socket", libc::SYS_socket),
        ("socketpair", libc::SYS_socketpair),
        ("accept4", libc::SYS_accept4),
        ("bind", libc::SYS_bind),
        ("listen", libc::SYS_listen),
        ("connect", libc::SYS_connect),
        ("fcntl", libc::SYS_fcntl),
        ("getsockname", libc::SYS_getsockname),
        ("ioctl", libc::SYS_ioctl),
        ("shutdown", libc::SYS_shutdown),
        ("sendto", libc::SYS_sendto),
        ("sendmsg", libc::SYS_sendmsg),
        ("pipe2", libc::SYS_pipe2),
        ("write", libc::SYS_write),
        ("pwritev2", libc::SYS_pwritev2),
        ("rt_sigprocmask", libc::SYS_rt_sigprocmask),
        ("rt_sigpending", libc::SYS_rt_sigpending),
        ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait),
    ]
    .map(|(name, number)| {
        Scene::survives(format!("verify: a sandbox forbids {name}"), move || {
            filter(number, Which::All, refusing(libc::EPERM));
            assert!(!matches!(verify(), Err(Error::SilentlyIgnored { .. })));
            assert!(matches!(number, libc::SYS_rt_sigprocmask) || !is_blocked());
            assert!(!is_pending());
        })
    });
    let others = [
        Scene::survives("verify: a system that refuses is no liar", || {
            refuse_write_flag(libc::EOPNOTSUPP);
            let protection = verify().unwrap();
            assert!(!protection.pipe_write().contains(&Technique::WriteFlag), "{protection}");
        }),
        Scene::survives("verify: without IPv6", || {
            // The bit that AF_INET6 has and AF_INET has not.
            let inet6 = Which::With((0, libc::AF_INET6 & !libc::AF_INET));
            filter(libc::SYS_socket, inet6, refusing(libc::EAFNOSUPPORT));
            verify().unwrap();
        }),
        Scene::survives("verify: without IPv4", || {
            let inet = Which::Without((0, libc::AF_INET6 & !libc::AF_INET));
            filter(libc::SYS_socket, inet, refusing(libc::EAFNOSUPPORT));
            verify().unwrap();
        })
        .only_if(has_ipv6()),
        Scene::survives("verify: IPv6 is there and forbidden", || {
            let inet6 = Which::With((0, libc::AF_INET6 & !libc::AF_INET));
            filter(libc::SYS_socket, inet6, refusing(libc::EPERM));
            cannot_ask();
        })
        .only_if(cfg!(not(epipe_refused = "send_flag")) && has_ipv6()),
        Scene::survives("verify: without Unix sockets", || {
            filter(libc::SYS_socketpair, Which::All, refusing(libc::EAFNOSUPPORT));
            cannot_ask();
        })
        .only_if(cfg!(not(epipe_refused = "send_flag"))),
        Scene::survives("verify: no loopback address", || {
            filter(libc::SYS_bind, Which::All, refusing(libc::EADDRNOTAVAIL));
            cannot_ask();
        })
        .only_if(cfg!(not(epipe_refused = "send_flag"))),
        Scene::survives("verify: without TCP", || {
            filter(libc::SYS_socket, Which::All, refusing(libc::EPERM));
            cannot_ask();
        })
        .only_if(cfg!(not(epipe_refused = "send_flag"))),
    ];
    forbidden.into_iter().chain(others).map(|scene| scene.only_if(can_be_filtered()))
}

/// The other one discards what is pending in the process when it goes.
fn guard_is_of_the_thread() -> bool {
    cfg!(not(epipe_refused = "thread_mask"))
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[track_caller]
fn cannot_ask() {
    match verify() {
        // A build without flags has nothing to ask.
        Ok(_) => assert!(!has_send_flag() && !has_write_flag()),
        Err(Error::CannotAsk(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}
