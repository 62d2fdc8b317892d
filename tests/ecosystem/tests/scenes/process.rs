//! Children of tokio's `Command`, and its standard output.

use std::future::{Future as _, poll_fn};
use std::io;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Stdio;
use std::task::Poll;

use epipe::tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use epipe::tokio::process::{Child, ChildStdin, Command};
use tokio::process as bare;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::Scene;
use crate::rows::pairs;
use crate::support::{assert_epipe, broken_pipe, is_blocked, is_pending, slices, spell};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The stdin of a child that has ended.
async fn broken() -> ChildStdin {
    let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    child.wait().await.unwrap(); // the child has no stdin left to drop
    stdin
}

/// The same with tokio's own types.
async fn bare_broken() -> bare::ChildStdin {
    let mut child = bare::Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    child.wait().await.unwrap();
    stdin
}

/// `$command` with every builder method in one chain, then `spawn`. Writes after the child is gone.
macro_rules! chain {
    ($command:expr) => {
        runtime().block_on(async {
            let mut command = $command;
            let child = command
                .arg("-c")
                .args(["exit $CODE"])
                .env_clear()
                .env("CODE", "1")
                .envs([("CODE", "7"), ("MORE", "1")])
                .env_remove("MORE")
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .arg0("shell")
                .process_group(0)
                .spawn();
            let mut child = child.unwrap();
            let mut stdin = child.stdin.take().unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(7));
            stdin.write(b"x").await
        })
    };
}

fn stdin() -> Vec<Scene> {
    pairs! {
        "tokio ChildStdin: write":
            runtime().block_on(async { broken().await.write(b"x").await }),
            control runtime().block_on(async { bare_broken().await.write(b"x").await });
        "tokio ChildStdin: write_vectored":
            runtime().block_on(async { broken().await.write_vectored(&slices()).await }),
            control runtime().block_on(async {
                bare_broken().await.write_vectored(&slices()).await
            });
        "tokio ChildStdin: io::copy":
            runtime().block_on(async {
                tokio::io::copy(&mut &b"x"[..], &mut broken().await).await
            }),
            control runtime().block_on(async {
                tokio::io::copy(&mut &b"x"[..], &mut bare_broken().await).await
            });
        "tokio ChildStdin, adopted: write":
            runtime().block_on(async { ChildStdin::from(bare_broken().await).write(b"x").await }),
            control runtime().block_on(async { bare_broken().await.write(b"x").await });
        "tokio ChildStdin of std's: write":
            runtime().block_on(async {
                ChildStdin::from_std(broken_pipe().into()).unwrap().write(b"x").await
            }),
            control runtime().block_on(async {
                bare::ChildStdin::from_std(broken_pipe().into()).unwrap().write(b"x").await
            });
        "tokio ChildStdin: its reader goes while a write waits":
            runtime().block_on(async {
                let mut child = Command::new("sleep").arg("10").stdin(Stdio::piped()).spawn()?;
                let mut stdin = child.stdin.take().unwrap();
                stdin.write_all(&[0; 1 << 16]).await?; // the pipe is full
                child.start_kill()?;
                stdin.write(b"x").await
            }),
            control runtime().block_on(async {
                let mut command = bare::Command::new("sleep");
                let mut child = command.arg("10").stdin(Stdio::piped()).spawn()?;
                let mut stdin = child.stdin.take().unwrap();
                stdin.write_all(&[0; 1 << 16]).await?;
                child.start_kill()?;
                stdin.write(b"x").await
            });
        "tokio Command: a chain of calls, then spawn and write":
            chain!(Command::new("/bin/sh")),
            control chain!(bare::Command::new("/bin/sh"));
        "tokio Command of std's: a chain of calls, then spawn and write":
            chain!(Command::from(std::process::Command::new("/bin/sh"))),
            control chain!(bare::Command::from(std::process::Command::new("/bin/sh")));
        "tokio Command, adopted: a chain of calls, then spawn and write":
            chain!(Command::from(bare::Command::new("/bin/sh"))),
            control chain!(bare::Command::new("/bin/sh"));
        "tokio Child, adopted: write":
            runtime().block_on(async {
                let mut command = bare::Command::new("true");
                let mut child = Child::from(command.stdin(Stdio::piped()).spawn().unwrap());
                let mut stdin = child.stdin.take().unwrap();
                child.wait().await.unwrap();
                stdin.write(b"x").await
            }),
            control runtime().block_on(async { bare_broken().await.write(b"x").await });
    }
}

/// All written bytes arrive, and a child behaves like tokio's.
fn healthy() -> Vec<Scene> {
    const MUCH: usize = 8 << 20;

    fn cat() -> Child {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    vec![
        Scene::survives("tokio ChildStdin: much goes through", || {
            runtime().block_on(async {
                let mut child = cat();
                let (mut stdin, mut stdout) =
                    (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                let much: Vec<u8> = (0..MUCH).map(|n| (n % 251) as u8).collect();
                let sent = much.clone();
                let writing = tokio::spawn(async move {
                    let mut rest = &sent[..];
                    while !rest.is_empty() {
                        let (a, b) = rest.split_at(rest.len() / 3);
                        let slices = [io::IoSlice::new(a), io::IoSlice::new(b)];
                        let written = stdin.write_vectored(&slices).await.unwrap();
                        rest = &rest[written..];
                    }
                });
                let mut read = Vec::new();
                stdout.read_to_end(&mut read).await.unwrap();
                writing.await.unwrap();
                assert!(read == much);
            });
        }),
        Scene::survives("tokio ChildStdin: no guard is left by a poll that waits", || {
            runtime().block_on(async {
                let mut command = Command::new("sleep");
                let mut child =
                    command.arg("10").stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
                let mut stdin = child.stdin.take().unwrap();
                let mut writing = Box::pin(stdin.write_all(&[0; 1 << 20]));
                let waits = poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx)));
                assert!(waits.await.is_pending());
                assert!(!is_blocked() && !is_pending());
            });
        }),
        Scene::survives("tokio Child: as tokio's", || {
            runtime().block_on(async {
                let mut child = cat();
                assert!(child.id().is_some() && child.try_wait().unwrap().is_none());
                child.stdin.as_mut().unwrap().write_all(b"a line").await.unwrap();
                let output = child.wait_with_output().await.unwrap();
                assert!(output.status.success() && output.stdout == b"a line");

                assert!(cat().wait().await.unwrap().success()); // wait closes the child's stdin
                let mut child = cat();
                child.kill().await.unwrap();
                assert!(child.id().is_none() && child.stdin.is_none());

                let mut echo = Command::new("echo");
                assert!(echo.arg("1").stdout(Stdio::null()).status().await.unwrap().success());
                assert_eq!(echo.output().await.unwrap().stdout, b"1\n");

                // A pipe from one child to the next.
                let mut child = cat();
                let stdin: Stdio = child.stdin.take().unwrap().try_into().unwrap();
                assert!(echo.stdout(stdin).status().await.unwrap().success());
                drop(echo);
                assert_eq!(child.wait_with_output().await.unwrap().stdout, b"1\n");

                let fd = cat().stdin.unwrap().into_owned_fd().unwrap();
                ChildStdin::from_std(fd.into()).unwrap().into_unprotected();
            });
        }),
    ]
}

// ---------------------------------------------------------------------- standard output ----

/// Replaces standard output or standard error.
fn redirect(fd: &OwnedFd, standard: i32) {
    // SAFETY: it takes numbers, and a scene may replace the standard streams of its process.
    assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), standard) }, standard);
}

fn lose_the_readers() {
    redirect(&broken_pipe(), 1);
    redirect(&broken_pipe(), 2);
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Writes a line in its own task.
fn line<W: AsyncWrite + Unpin + Send + 'static>(
    runtime: &Runtime,
    out: fn() -> W,
) -> io::Result<()> {
    let writing = runtime.spawn(async move {
        let mut out = out();
        out.write_all(b"a line\n").await?;
        out.flush().await
    });
    runtime.block_on(writing).unwrap()
}

/// Writes a line and ends the runtime at once: its idle thread may wake too late to write it.
fn end_early<W: AsyncWrite + Unpin>(out: fn() -> W) -> (Handle, W) {
    let runtime = runtime();
    let out = runtime.block_on(async {
        tokio::task::spawn_blocking(|| {}).await.unwrap();
        std::thread::yield_now();
        let mut out = out();
        out.write_all(b"a line\n").await.unwrap();
        out
    });
    (runtime.handle().clone(), out) // the runtime ends here
}

fn standard_output() -> Vec<Scene> {
    use epipe::tokio::io::{stderr, stdout};

    let mut scenes = pairs! {
        "tokio stdout: a line": {
            lose_the_readers();
            line(&runtime(), stdout)
        },
            control {
                lose_the_readers();
                line(&runtime(), tokio::io::stdout)
            };
        "tokio stdout, multi-thread: a line": {
            lose_the_readers();
            line(&multi_thread(), stdout)
        },
            control {
                lose_the_readers();
                line(&multi_thread(), tokio::io::stdout)
            };
        "tokio stderr: a line": {
            lose_the_readers();
            line(&runtime(), stderr)
        },
            control {
                lose_the_readers();
                line(&runtime(), tokio::io::stderr)
            };
    };
    scenes.extend([
        Scene::survives(
            "tokio stdout: the next call reports the error, the one after writes",
            || {
                lose_the_readers();
                runtime().block_on(async {
                    let mut out = stdout();
                    assert_eq!(out.write(b"a line\n").await.unwrap(), 7);
                    assert_epipe(out.write(b"a line\n").await);
                    assert_eq!(out.write(b"no line").await.unwrap(), 7);
                    assert_epipe(out.flush().await);
                    let (mut reader, writer) = io::pipe().unwrap();
                    redirect(&writer.into(), 1);
                    out.write_all(b"!\n").await.unwrap();
                    out.flush().await.unwrap();
                    let mut printed = [0; 9];
                    reader.read_exact(&mut printed).unwrap();
                    assert_eq!(&printed, b"no line!\n"); // std had kept it
                });
            },
        )
        .alone(),
        Scene::survives("tokio stdout: much goes through, in order with stderr", || {
            const MUCH: usize = 5 << 20;
            let (mut reader, writer) = io::pipe().unwrap();
            let writer = writer.into();
            redirect(&writer, 1);
            redirect(&writer, 2);
            drop(writer);
            let reading = std::thread::spawn(move || {
                let mut printed = vec![0; MUCH + 4];
                reader.read_exact(&mut printed).unwrap();
                printed
            });
            runtime().block_on(async {
                let (mut out, mut err) = (stdout(), stderr());
                assert_eq!(out.as_fd().as_raw_fd() + err.as_fd().as_raw_fd(), 3);
                assert_eq!(out.write(&[b'a'; MUCH]).await.unwrap(), 2 << 20);
                out.write_all(&[b'a'; MUCH - (2 << 20)]).await.unwrap();
                out.flush().await.unwrap();
                err.write_all(b"b").await.unwrap();
                err.flush().await.unwrap();
                for part in [b"c", b"d", b"\n"] {
                    out.write_all(part).await.unwrap();
                }
                out.flush().await.unwrap();
            });
            let printed = reading.join().unwrap();
            assert!(printed[..MUCH].iter().all(|&byte| byte == b'a'));
            assert_eq!(&printed[MUCH..], b"bcd\n");
        }),
        Scene::survives("tokio stdout: what waits when the runtime ends is written", || {
            const ROUNDS: usize = 200;
            let (mut reader, writer) = io::pipe().unwrap();
            redirect(&writer.into(), 1);
            for _ in 0..ROUNDS {
                let (_, mut out) = end_early(stdout);
                // No runtime is entered here, so a write is an error.
                futures_lite::future::block_on(async {
                    let _ = out.flush().await;
                    out.write_all(b"after\n").await.unwrap_err();
                });
            }
            let mut printed = vec![0; ROUNDS * 7];
            reader.read_exact(&mut printed).unwrap();
            assert!(printed.chunks(7).all(|line| line == b"a line\n"));
        }),
        Scene::survives(
            "tokio stdout: what is written after the end gets there, and flush fails",
            || {
                let (mut reader, writer) = io::pipe().unwrap();
                redirect(&writer.into(), 1);
                let (runtime, mut out) = end_early(stdout);
                let _entered = runtime.enter();
                futures_lite::future::block_on(async {
                    let _ = out.flush().await;
                    let _ = out.write_all(b"after\n").await;
                    assert!(out.flush().await.is_err());
                });
                let mut printed = [0; 13];
                reader.read_exact(&mut printed).unwrap();
                assert_eq!(&printed, b"a line\nafter\n");
            },
        ),
        Scene::survives("tokio stdout: a broken one when the runtime ends", || {
            lose_the_readers();
            for _ in 0..200 {
                drop(end_early(stdout));
            }
        }),
        Scene::dies("tokio stdout: a broken one when the runtime ends: control", || {
            lose_the_readers();
            drop(end_early(tokio::io::stdout));
        }),
        Scene::survives("tokio stdout: shutdown reports the loss, and waits for the write", || {
            lose_the_readers();
            runtime().block_on(async {
                let mut out = stdout();
                assert_eq!(out.write(b"a line\n").await.unwrap(), 7);
                assert_epipe(out.shutdown().await);
                let (mut reader, writer) = io::pipe().unwrap();
                redirect(&writer.into(), 1);
                out.write_all(b"no line").await.unwrap();
                out.shutdown().await.unwrap();
                let mut printed = [0; 7];
                reader.read_exact(&mut printed).unwrap();
                assert_eq!(&printed, b"no line");
            });
        }),
        Scene::dies("tokio stdout: shutdown reports the loss: control", || {
            lose_the_readers();
            runtime().block_on(async {
                let mut out = tokio::io::stdout();
                out.write_all(b"a line\n").await.unwrap();
                out.shutdown().await.unwrap(); // at once: another thread makes the write
                let _ = out.flush().await;
            });
        }),
        Scene::survives("tokio stdout: outside a runtime it is an error", || {
            let answer = futures_lite::future::block_on(stdout().write(b"a line\n"));
            assert_ne!(spell(&answer), "EPIPE");
            answer.unwrap_err();
        }),
    ]);
    scenes
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = stdin();
    scenes.extend(healthy());
    scenes.extend(standard_output());
    scenes
}
