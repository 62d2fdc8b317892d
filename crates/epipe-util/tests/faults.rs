//! Each system call of the endings, queues, private addresses and FIFOs fails once, by strace's
//! injection: the error is told, no descriptor is leaked, no file is left behind, no byte is lost.
//!
//! A scene is a child of this program. It prepares itself and waits; strace is attached and told
//! which call fails, and at which time of being called; the scene plays; strace goes; the scene
//! looks at what is left. Where nothing was injected any more, the scene makes no more calls of
//! that name. Without strace the scenes are ignored, and fail if `EPIPE_STRACE` asks for it.

#![allow(missing_docs, reason = "a test")]
#![allow(unsafe_code, reason = "umask has no safe form")]

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
#[path = "support/folder.rs"]
mod folder;

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
    use crate::folder::Folder;

    const SCENE: &str = "EPIPE_FAULT";

    /// What a scene plays under the fault, and what it looks at afterwards: whether the work is
    /// done, and whether all of it is undone.
    struct Scene {
        name: &'static str,
        /// The calls that fail, one at a time.
        calls: &'static [&'static str],
        /// Failures that cost nothing and are not told: of which call, at which time of being made.
        passed_over: &'static [(&'static str, usize)],
        /// Prepares in a folder of its own.
        prepare: fn(&Path) -> Play,
    }

    type Play = Box<dyn FnOnce() -> (io::Result<()>, Look)>;
    /// Panics if what is there is neither.
    type Look = Box<dyn FnOnce(bool)>;

    fn listing(folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    fn descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    fn is_root() -> bool {
        // SAFETY: it has no condition.
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
                // The unlocking.
                passed_over: &[("flock", 2)],
                prepare: |folder| {
                    let folder = folder.to_path_buf();
                    // SAFETY: it takes an integer.
                    unsafe { libc::umask(0o777) };
                    Box::new(move || bind(&folder, false))
                },
            },
            Scene {
                name: "private::bind over a stale file",
                calls: &["socket", "statx", "ioctl", "fcntl", "connect", "unlink", "bind"],
                passed_over: &[],
                prepare: |folder| {
                    let folder = folder.to_path_buf();
                    drop(std_net::UnixListener::bind(folder.join("socket")).unwrap());
                    Box::new(move || bind(&folder, true))
                },
            },
            Scene {
                name: "PrivateAddress in a shared directory",
                // It belongs to another group: only root may give it away.
                calls: if is_root() { &["chown", "chmod"] } else { &["chmod"] },
                passed_over: &[],
                prepare: |folder| {
                    let path = folder.join("socket");
                    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
                    // SAFETY: it takes an integer.
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
                // Nobody could be told.
                passed_over: &[("openat", 1), ("flock", 1), ("flock", 2), ("unlink", 1)],
                prepare: |folder| {
                    let path = folder.join("socket");
                    let (listener, file) = private::bind(&path, 0o600).unwrap();
                    Box::new(move || {
                        drop((listener, file));
                        // Whatever happened: the next one gets the address.
                        let look = Box::new(move |_| drop(private::bind(&path, 0o600).unwrap()));
                        (Ok(()), look)
                    })
                },
            },
            Scene {
                name: "fifo::create",
                calls: &["mknod", "mknodat", "statx", "chmod"],
                passed_over: &[],
                prepare: |folder| {
                    let path = folder.join("fifo");
                    // SAFETY: it takes an integer.
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
                passed_over: &[],
                prepare: |folder| {
                    let path = folder.join("fifo");
                    fifo::create(&path, 0o600).unwrap();
                    let mut both = fs::File::options().read(true).write(true).open(&path).unwrap();
                    both.write_all(b"x").unwrap();
                    Box::new(move || {
                        let opened = fifo::open_read(&path, soon());
                        let outcome = opened.as_ref().map(drop).map_err(again);
                        let look = Box::new(move |_| {
                            // The byte is there for who comes next.
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
                passed_over: &[],
                prepare: |folder| {
                    let path = folder.join("fifo");
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
                // Whether it is gone.
                passed_over: &[("getsockopt", 2)],
                prepare: |_| {
                    let (mut client, mut server) = tcp();
                    server.write_all(b"answer").unwrap();
                    client.write_all(b"request").unwrap();
                    let later = client.try_clone().unwrap();
                    let ends = std::thread::spawn(move || {
                        // While it waits for the end.
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
                            // Closed in either case; the answer arrives if it says so.
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
                passed_over: &[],
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
                // Whether it is gone.
                passed_over: &[("getsockopt", 4)],
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

    /// The same error once more.
    fn again(error: &io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        }
    }

    fn bind(folder: &Path, was_stale: bool) -> (io::Result<()>, Look) {
        let path = folder.join("socket");
        let bound = private::bind(&path, 0o600);
        let outcome = bound.as_ref().map(drop).map_err(again);
        let look = Box::new(move |is_done: bool| {
            if is_done {
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                std_net::UnixStream::connect(&path).unwrap();
            } else if path.exists() {
                // What was there before.
                assert!(was_stale);
                std_net::UnixStream::connect(&path).unwrap_err();
            }
            drop(bound);
            // The next one gets the address.
            drop(private::bind(&path, 0o600).unwrap());
        });
        (outcome, look)
    }

    // ----------------------------------------------------------------------------- the scene's side ----

    fn say(word: &str) {
        let mut out = io::stdout().lock();
        writeln!(out, "{word}").unwrap();
        out.flush().unwrap();
    }

    fn wait() {
        io::stdin().lock().read_line(&mut String::new()).unwrap();
    }

    fn play(scene: &Scene) {
        let folder = Folder::new();
        let before = (descriptors(), listing(&folder.0));
        let play = (scene.prepare)(&folder.0);
        say("ready");
        wait();
        let (outcome, look) = play();
        say(&match &outcome {
            Ok(()) => "ok".to_string(),
            Err(error) => format!("{:?} {error}", error.raw_os_error()),
        });
        wait();
        look(outcome.is_ok());
        let left: Vec<_> = listing(&folder.0)
            .into_iter()
            .filter(|path| !before.1.contains(path) && path.file_name().unwrap() != "fifo")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        assert_eq!(descriptors(), before.0, "descriptors");
        say("fine");
    }

    // ------------------------------------------------------------------------------- the test's side ----

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
            self.says.next().expect("it has panicked").unwrap()
        }

        fn go_on(&mut self) {
            self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }
    }

    /// Plays a scene in which the call fails at its `when`th time. `None`: it was not made so
    /// often. Else what the scene told.
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
        let told = actor.line();
        // Interrupted it detaches, and ends.
        // SAFETY: it takes integers; the child was not waited for.
        unsafe { libc::kill(strace.id() as i32, libc::SIGINT) };
        strace.wait().unwrap();
        actor.go_on();
        assert_eq!(actor.line(), "fine", "{call} fails by {error} at {when}: {told}");
        assert!(actor.child.wait().unwrap().success());
        let seen = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        seen.contains("(INJECTED)").then_some(told)
    }

    /// Calls that are made again when a signal has interrupted them.
    const MADE_AGAIN: [&str; 6] = ["openat", "flock", "poll", "recvfrom", "chmod", "fchmod"];

    fn test(scene: &Scene) {
        for call in scene.calls {
            for (error, code) in [("EIO", libc::EIO), ("EINTR", libc::EINTR)] {
                let mut when = 1;
                while let Some(told) = fails(scene.name, call, error, when) {
                    let is_overcome = scene.passed_over.contains(&(call, when))
                        || error == "EINTR" && MADE_AGAIN.contains(call);
                    let is_right = match told.as_str() {
                        "ok" => is_overcome || *call == "fcntl", // std asks it too, in debug builds
                        told => !is_overcome && told.starts_with(&format!("Some({code})")),
                    };
                    assert!(is_right, "{call} fails by {error} at {when}: {told}");
                    println!("{}: {call} fails by {error} at {when}: {told}", scene.name);
                    when += 1;
                    assert!(when < 50, "{call} is made for ever");
                }
                // A call that is never made would prove nothing. (musl and new glibc differ in a
                // few.)
                let optional = ["mknod", "mknodat", "ioctl", "fcntl"].contains(call);
                assert!(when > 1 || optional, "{call} is not made");
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
