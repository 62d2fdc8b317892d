//! Makes each system call of `close`, `queue`, `private` and `fifo` fail once, with strace.
//!
//! Each time, the error is reported, no descriptor leaks, no file is left behind and no byte is
//! lost.
//!
//! A scene is a child process of this program. It prepares and waits. Then strace attaches, and
//! makes one call fail: the n-th one of a name. The scene does its work, strace detaches, and the
//! scene checks what is left. The test counts n up until strace has injected nothing.
//!
//! Without strace the scenes are ignored. With `EPIPE_STRACE` set they fail instead.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "std has no umask")]

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    faults::main()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "support/deadline.rs"]
mod deadline;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "support/directory.rs"]
mod directory;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod faults {
    use std::fs;
    use std::io::{self, BufRead, BufReader, Read, Write};
    use std::net::Shutdown;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net as std_net;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::time::Duration;

    use epipe::net::{TcpListener, TcpStream};
    use epipe_util::close::{Ending, close_gracefully, reset};
    use epipe_util::queue::{tcp_info, unacknowledged, unread, unsent, wait_acknowledged};
    use epipe_util::{fifo, private};
    use libtest_mimic::{Arguments, Trial};

    use crate::deadline::soon;
    use crate::directory::Directory;

    const SCENE: &str = "EPIPE_FAULT";

    /// The work that runs with a failing call, and the check that follows.
    struct Scene {
        name: &'static str,
        /// The calls that fail, one at a time.
        calls: &'static [&'static str],
        /// Failures that are not reported because they do no harm: the call and its number n.
        ignored: &'static [(&'static str, usize)],
        /// Prepares the scene in a directory of its own.
        prepare: fn(&Path) -> Play,
    }

    type Play = Box<dyn FnOnce() -> (io::Result<()>, Look)>;
    /// Gets whether the work succeeded. Panics unless the work is done, or else undone completely.
    type Look = Box<dyn FnOnce(bool)>;

    fn listing(directory: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    fn descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    fn is_root() -> bool {
        // SAFETY: geteuid has no precondition.
        unsafe { libc::geteuid() == 0 }
    }

    fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn scenes() -> Vec<Scene> {
        vec![
            Scene {
                name: "private::bind",
                calls: &["openat", "statx", "flock", "socket", "fchmod", "bind", "listen", "chmod"],
                // The unlock.
                ignored: &[("flock", 2)],
                prepare: |directory| {
                    let directory = directory.to_path_buf();
                    // SAFETY: umask takes an integer.
                    unsafe { libc::umask(0o777) };
                    Box::new(move || bind(&directory, false))
                },
            },
            Scene {
                name: "private::bind over a stale file",
                calls: &["socket", "statx", "ioctl", "fcntl", "connect", "unlink", "bind"],
                ignored: &[],
                prepare: |directory| {
                    let directory = directory.to_path_buf();
                    drop(std_net::UnixListener::bind(directory.join("socket")).unwrap());
                    Box::new(move || bind(&directory, true))
                },
            },
            Scene {
                name: "PrivateAddress in a shared directory",
                // Only root may give the file to another group.
                calls: if is_root() { &["chown", "chmod"] } else { &["chmod"] },
                ignored: &[],
                prepare: |directory| {
                    let path = directory.join("socket");
                    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
                    // SAFETY: umask takes an integer.
                    unsafe { libc::umask(0o777) };
                    let address = private::PrivateAddress::new(&path).shared_directory(true);
                    let address = if is_root() { address.group(4201) } else { address };
                    Box::new(move || {
                        let bound = address.bind_datagram();
                        let outcome = bound.as_ref().map(drop).map_err(again);
                        let look = Box::new(move |is_done: bool| {
                            assert_eq!(path.exists(), is_done);
                            drop(bound);
                            drop(address.bind_datagram().unwrap());
                        });
                        (outcome, look)
                    })
                },
            },
            Scene {
                name: "the drop of a SocketFile",
                calls: &["openat", "flock", "unlink"],
                // A drop cannot return an error.
                ignored: &[("openat", 1), ("flock", 1), ("flock", 2), ("unlink", 1)],
                prepare: |directory| {
                    let path = directory.join("socket");
                    let (listener, file) = private::bind(&path, 0o600).unwrap();
                    Box::new(move || {
                        drop((listener, file));
                        // In any case the next `bind` gets the address.
                        let look = Box::new(move |_| drop(private::bind(&path, 0o600).unwrap()));
                        (Ok(()), look)
                    })
                },
            },
            Scene {
                name: "fifo::create",
                calls: &["mknod", "mknodat", "statx", "chmod"],
                ignored: &[],
                prepare: |directory| {
                    let path = directory.join("fifo");
                    // SAFETY: umask takes an integer.
                    unsafe { libc::umask(0o777) };
                    Box::new(move || {
                        let made = fifo::create(&path, 0o640);
                        let look = Box::new(move |is_done: bool| {
                            let there = fs::symlink_metadata(&path);
                            assert_eq!(there.is_ok(), is_done);
                            if let Ok(there) = there {
                                assert!(there.file_type().is_fifo());
                                assert_eq!(there.mode() & 0o7777, 0o640);
                            }
                        });
                        (made, look)
                    })
                },
            },
            Scene {
                name: "fifo::open_read",
                calls: &["statx", "openat", "poll", "fcntl"],
                ignored: &[],
                prepare: |directory| {
                    let path = directory.join("fifo");
                    fifo::create(&path, 0o600).unwrap();
                    let mut both = fs::File::options().read(true).write(true).open(&path).unwrap();
                    both.write_all(b"x").unwrap();
                    Box::new(move || {
                        let opened = fifo::open_read(&path, soon());
                        let outcome = opened.as_ref().map(drop).map_err(again);
                        let look = Box::new(move |_| {
                            // The byte is still there for the next reader.
                            drop(opened);
                            assert_eq!(unread(&both).unwrap(), 1);
                            drop(both);
                        });
                        (outcome, look)
                    })
                },
            },
            Scene {
                name: "fifo::open_write",
                calls: &["openat"],
                ignored: &[],
                prepare: |directory| {
                    let path = directory.join("fifo");
                    fifo::create(&path, 0o600).unwrap();
                    let reader = fs::File::options().read(true).write(true).open(&path).unwrap();
                    Box::new(move || {
                        let opened = fifo::open_write(&path, Some(soon()));
                        let outcome = opened.as_ref().map(drop).map_err(again);
                        (outcome, Box::new(move |_| drop((opened, reader))))
                    })
                },
            },
            Scene {
                name: "close_gracefully",
                calls: &[
                    "fcntl",
                    "setsockopt",
                    "shutdown",
                    "recvfrom",
                    "poll",
                    "getsockopt",
                    "ioctl",
                ],
                // The check whether the connection is gone.
                ignored: &[("getsockopt", 2)],
                prepare: |_| {
                    let (mut client, mut server) = tcp();
                    server.write_all(b"answer").unwrap();
                    client.write_all(b"request").unwrap();
                    let later = client.try_clone().unwrap();
                    let ends = std::thread::spawn(move || {
                        // While the call waits for the end.
                        std::thread::sleep(Duration::from_millis(30));
                        let _ = later.shutdown(Shutdown::Write); // it may have been reset
                    });
                    Box::new(move || {
                        let ended = close_gracefully(server, soon());
                        if let Ok(ending) = &ended {
                            assert!(matches!(ending, Ending::Clean | Ending::TimedOut { .. }));
                        }
                        let look = Box::new(move |is_done: bool| {
                            ends.join().unwrap();
                            // The stream is closed in any case. On success the answer arrives.
                            let mut answer = String::new();
                            let read = client.read_to_string(&mut answer);
                            assert!(!is_done || (read.is_ok() && answer == "answer"), "{read:?}");
                        });
                        (ended.map(drop), look)
                    })
                },
            },
            Scene {
                name: "reset",
                calls: &["setsockopt"],
                ignored: &[],
                prepare: |_| {
                    let (mut client, server) = tcp();
                    Box::new(move || {
                        let outcome = reset(server);
                        let look = Box::new(move |is_done: bool| {
                            let read = client.read(&mut [0]);
                            assert_eq!(read.is_err(), is_done);
                        });
                        (outcome, look)
                    })
                },
            },
            Scene {
                name: "queue",
                calls: &["ioctl", "getsockopt"],
                // The check whether the connection is gone.
                ignored: &[("getsockopt", 4)],
                prepare: |_| {
                    let (mut client, server) = tcp();
                    client.write_all(b"request").unwrap();
                    Box::new(move || {
                        let outcome = unread(&server)
                            .and_then(|_| unsent(&client))
                            .and_then(|_| unacknowledged(&client))
                            .and_then(|_| tcp_info(&client))
                            .and_then(|_| wait_acknowledged(&client, soon()));
                        let look = Box::new(move |_| {
                            assert_eq!(unread(&server).unwrap(), 7);
                            drop((client, server));
                        });
                        (outcome, look)
                    })
                },
            },
        ]
    }

    /// A copy of the error.
    fn again(error: &io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        }
    }

    fn bind(directory: &Path, was_stale: bool) -> (io::Result<()>, Look) {
        let path = directory.join("socket");
        let bound = private::bind(&path, 0o600);
        let outcome = bound.as_ref().map(drop).map_err(again);
        let look = Box::new(move |is_done: bool| {
            if is_done {
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                std_net::UnixStream::connect(&path).unwrap();
            } else if path.exists() {
                // The stale file from before.
                assert!(was_stale);
                std_net::UnixStream::connect(&path).unwrap_err();
            }
            drop(bound);
            // The next `bind` gets the address.
            drop(private::bind(&path, 0o600).unwrap());
        });
        (outcome, look)
    }

    // ---------------------------------------------------------------- in the scene ----

    fn say(word: &str) {
        let mut out = io::stdout().lock();
        writeln!(out, "{word}").unwrap();
        out.flush().unwrap();
    }

    fn wait() {
        io::stdin().lock().read_line(&mut String::new()).unwrap();
    }

    fn play(scene: &Scene) {
        let directory = Directory::new();
        let before = (descriptors(), listing(&directory.0));
        let play = (scene.prepare)(&directory.0);
        say("ready");
        wait();
        let (outcome, look) = play();
        say(&match &outcome {
            Ok(()) => "ok".to_string(),
            Err(error) => format!("{:?} {error}", error.raw_os_error()),
        });
        wait();
        look(outcome.is_ok());
        let left: Vec<_> = listing(&directory.0)
            .into_iter()
            .filter(|path| !before.1.contains(path) && path.file_name().unwrap() != "fifo")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        assert_eq!(descriptors(), before.0, "the number of open descriptors");
        say("fine");
    }

    // ----------------------------------------------------------------- in the test ----

    struct Actor {
        child: Child,
        says: io::Lines<BufReader<std::process::ChildStdout>>,
    }

    impl Actor {
        fn new(scene: &str) -> Actor {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .env(SCENE, scene)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let says = BufReader::new(child.stdout.take().unwrap()).lines();
            Actor { child, says }
        }

        fn line(&mut self) -> String {
            self.says.next().expect("the scene has panicked").unwrap()
        }

        fn go_on(&mut self) {
            self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }
    }

    /// Plays a scene in which the `when`-th call of this name fails. Returns what the scene
    /// reports, or `None` if there were fewer calls.
    fn fails(scene: &str, call: &str, error: &str, when: usize) -> Option<String> {
        let mut actor = Actor::new(scene);
        assert_eq!(actor.line(), "ready");
        let log = std::env::temp_dir().join(format!("epipe-strace-{}", actor.child.id()));
        let mut strace = Command::new("strace")
            .arg("-o")
            .arg(&log)
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error={error}:when={when}")])
            .args(["-p", &actor.child.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut attached = String::new();
        BufReader::new(strace.stderr.take().unwrap()).read_line(&mut attached).unwrap();
        assert!(attached.contains("attached"), "{attached}");
        actor.go_on();
        let reported = actor.line();
        // SIGINT makes strace detach and end.
        // SAFETY: kill takes integers. No `wait` has freed the child's number yet.
        unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
        strace.wait().unwrap();
        actor.go_on();
        assert_eq!(actor.line(), "fine", "{call} number {when} fails with {error}: {reported}");
        assert!(actor.child.wait().unwrap().success());
        let seen = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        seen.contains("(INJECTED)").then_some(reported)
    }

    /// Calls that are repeated when a signal has interrupted them.
    const REPEATED: [&str; 6] = ["openat", "flock", "poll", "recvfrom", "chmod", "fchmod"];

    fn test(scene: &Scene) {
        for call in scene.calls {
            for (error, code) in [("EIO", libc::EIO), ("EINTR", libc::EINTR)] {
                let mut when = 1;
                while let Some(reported) = fails(scene.name, call, error, when) {
                    let is_harmless = scene.ignored.contains(&(call, when))
                        || error == "EINTR" && REPEATED.contains(call);
                    let is_right = match reported.as_str() {
                        "ok" => is_harmless || *call == "fcntl", // std calls it in debug builds
                        error => !is_harmless && error.starts_with(&format!("Some({code})")),
                    };
                    let line = format!("{call} number {when} fails with {error}: {reported}");
                    assert!(is_right, "{line}");
                    println!("{}: {line}", scene.name);
                    when += 1;
                    assert!(when < 50, "{call} is repeated for ever");
                }
                // A call that is never made would prove nothing. The optional ones differ between
                // C libraries (musl, new glibc).
                let optional = ["mknod", "mknodat", "ioctl", "fcntl"].contains(call);
                assert!(when > 1 || optional, "{call} is never called");
            }
        }
    }

    pub fn main() -> ExitCode {
        let name = std::env::var(SCENE).ok();
        if let Some(scene) =
            name.and_then(|name| scenes().into_iter().find(|scene| scene.name == name))
        {
            play(&scene);
            return ExitCode::SUCCESS;
        }
        let has_strace = Command::new("strace")
            .arg("-V")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let is_required = std::env::var_os("EPIPE_STRACE").is_some();
        let trials = scenes()
            .into_iter()
            .map(|scene| {
                Trial::test(scene.name, move || {
                    test(&scene);
                    Ok(())
                })
                .with_ignored_flag(!has_strace && !is_required)
            })
            .collect();
        libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
    }
}
