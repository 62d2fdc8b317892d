//! `verify` on a system that keeps its flags, on one that gives no answer, and in sandboxes.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use epipe::io::PipeWriter;
use epipe::verify;
use epipe::verify::Error;

use crate::Scene;
use crate::guards::MASKS_THE_THREAD;
use crate::sockets::socket_writes;
use crate::suites::is_suite;
use crate::support::{
    self, assert_epipe, broken_pipe, descriptors, dispose, hosts_handler, is_blocked, is_pending,
    mask, raise_at_thread, set_handler, take_pending, without_descriptors,
};

#[cfg(kernel = "linux")]
pub use linux::scenes as of_linux;

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
        Scene::survives("verify: a pending signal of the host's stays, and is reported", || {
            mask(libc::SIG_BLOCK);
            raise_at_thread();
            cannot_ask();
            assert!(take_pending() && !is_pending());
        })
        .only_where(MASKS_THE_THREAD, "the other guard discards it"),
        Scene::survives("verify: a blocked signal stays blocked", || {
            mask(libc::SIG_BLOCK);
            verify().unwrap();
            assert!(is_blocked() && !is_pending());
        }),
        Scene::survives("verify: the disposition is the host's", || {
            for disposition in [libc::SIG_IGN, hosts_handler()] {
                dispose(disposition);
                match verify() {
                    // Only Linux keeps a blocked signal pending while it is ignored.
                    Err(Error::CannotAsk(_)) if disposition == libc::SIG_IGN => {}
                    answer => drop(answer.unwrap()),
                }
                assert_eq!(support::disposition(), disposition);
            }
        }),
        Scene::survives("verify: no descriptor is left open", || {
            let before = descriptors();
            verify().unwrap();
            assert_eq!(descriptors(), before);
        }),
        Scene::survives("verify: other signals interrupt", || {
            interrupt_again_and_again();
            for _ in 0..100 {
                verify().unwrap();
            }
        }),
        Scene::survives("verify: no descriptor is free", || without_descriptors(cannot_ask)),
    ];
    let can = can_be_played();
    let scenes = scenes.into_iter().map(|scene| scene.only_where(can, NOT_HONEST));
    // A probe would raise a SIGPIPE that could kill by another thread.
    let is_unsupported = || {
        let answer = verify().unwrap_err();
        assert!(matches!(answer, Error::CannotAsk(why) if why.kind() == ErrorKind::Unsupported));
    };
    let is_not_asked =
        Scene::survives("verify: a signal of the process is not asked about", is_unsupported)
            .only_where(cfg!(raised_at_process), "the signal goes to the thread here");
    scenes.chain([is_not_asked]).collect()
}

const NOT_HONEST: &str = "a flag is ignored here, or cannot be asked for";

fn can_be_played() -> bool {
    #[cfg(kernel = "linux")]
    let is_honest = crate::ignored_flags::machine_is_honest();
    #[cfg(not(kernel = "linux"))]
    let is_honest = cfg!(not(raised_at_process)); // there `verify` makes no probe
    is_honest && !is_suite()
}

/// Interrupts this thread repeatedly by SIGALRM, whose handler does nothing.
fn interrupt_again_and_again() {
    set_handler(libc::SIGALRM, hosts_handler(), 0);
    // SAFETY: pthread_self has no precondition.
    let this_thread = unsafe { libc::pthread_self() } as usize;
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_micros(50));
            // SAFETY: the thread lives until the process ends.
            unsafe { libc::pthread_kill(this_thread as libc::pthread_t, libc::SIGALRM) };
        }
    });
}

/// Whether there is a flag that `verify` probes.
fn has_a_flag() -> bool {
    #[cfg(kernel = "linux")]
    return crate::ignored_flags::has_send_flag() || crate::ignored_flags::has_write_flag();
    #[cfg(not(kernel = "linux"))]
    cfg!(all(send_flag_alone, not(epipe_refused = "send_flag")))
}

#[track_caller]
fn cannot_ask() {
    match verify() {
        // A build without flags has nothing to probe.
        Ok(_) => assert!(!has_a_flag()),
        Err(Error::CannotAsk(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// Under libraries and seccomp filters.
#[cfg(kernel = "linux")]
mod linux {
    use epipe::verify::Technique;

    use super::*;
    use crate::ignored_flag::Preload;
    use crate::ignored_flags::can_affect;
    use crate::seccomp::{
        NO_FILTERS, Which, can_filter_sockets, filter, refuse_write_flag, refusing,
    };
    use crate::suites::{can_preload, strips_sendmmsg};

    pub fn scenes() -> Vec<Scene> {
        let can = can_be_played();
        let scenes = under_libraries().into_iter().chain(in_sandboxes());
        scenes.map(|scene| scene.only_where(can, NOT_HONEST)).collect()
    }

    /// Under libraries that do not ignore a flag of ours.
    fn under_libraries() -> [Scene; 2] {
        // If even the plain call raises nothing, a kept flag looks like an ignored one.
        let silent = Preload::strips("nothing and adds it", &["ADDS"]);
        [
            Scene::survives("verify: sendmmsg is not ours", || drop(verify().unwrap()))
                .under(&strips_sendmmsg())
                .only_if(can_preload()),
            Scene::survives("verify: a system that raises nothing answers nothing", cannot_ask)
                .under(&silent)
                .only_if(can_affect(Technique::SendFlag)),
        ]
    }

    /// In sandboxes: a refused or missing flag is not an ignored one, and `verify` leaves no trace.
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
            Scene::survives("verify: a refused flag is not an ignored one", || {
                refuse_write_flag(libc::EOPNOTSUPP);
                let protection = verify().unwrap();
                assert!(!protection.pipe_write().contains(&Technique::WriteFlag), "{protection}");
            }),
            Scene::survives("verify: without IPv6", || {
                // The bit that AF_INET6 has and AF_INET lacks.
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
        forbidden
            .into_iter()
            .chain(others)
            .map(|scene| scene.only_where(can_filter_sockets(), NO_FILTERS))
    }

    fn has_ipv6() -> bool {
        std::net::TcpListener::bind("[::1]:0").is_ok()
    }
}
