//! Plays the table in the docs of `guard_threads`: which writes of tokio's own types a guard
//! protects, on a runtime's threads or around the runtime.

use std::io::{self, Write as _};

use epipe::sigpipe::suppressed;
use epipe::tokio::guard_threads;
use epipe::verify::Technique;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{spawn, spawn_blocking};

use crate::Scene;
use crate::support::{broken_stream, slices, spell};

const DOCS: &str = include_str!("../../../../src/tokio/runtime.rs");

/// How a runtime is protected, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Means {
    GuardThreads,
    Suppressed,
    Both,
    BuiltInside,
    /// The control of every row.
    Nothing,
    /// A later hook has replaced the guard's.
    Replaced,
}

/// A write of tokio's own stream, unprotected.
async fn write() -> io::Result<usize> {
    let stream = std::net::TcpStream::from(broken_stream());
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)?.write_vectored(&slices()).await
}

/// The same by std, unprotected.
fn write_blocking() -> io::Result<usize> {
    std::net::TcpStream::from(broken_stream()).write_vectored(&slices())
}

fn play(what: &str, means: Means) {
    use Means::{Both, BuiltInside, GuardThreads, Replaced, Suppressed};

    let mut builder = match what {
        "a task of a current_thread runtime" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(1).enable_all();
    if matches!(means, GuardThreads | Both | Replaced) {
        guard_threads(&mut builder);
    }
    if means == Replaced {
        builder.on_thread_start(|| {});
    }
    let runtime = match means {
        BuiltInside => suppressed(|| builder.build()).unwrap(),
        _ => builder.build(),
    };
    let runtime: Runtime = runtime.unwrap();
    let block_on = || {
        runtime.block_on(async {
            match what {
                "the future of `block_on`" => write().await,
                "a blocking thread that the future of `block_on` starts" => {
                    spawn(async {}).await.unwrap(); // the worker has its thread now
                    spawn_blocking(write_blocking).await.unwrap()
                }
                "a blocking thread that a task of a multi-thread runtime starts" => {
                    spawn(async { spawn_blocking(write_blocking).await.unwrap() }).await.unwrap()
                }
                "a task of a current_thread runtime" | "a task of a multi-thread runtime" => {
                    spawn(write()).await.unwrap()
                }
                _ => panic!("the docs have a row that is not played: {what}"),
            }
        })
    };
    let answer = match means {
        Suppressed | Both => suppressed(block_on).unwrap(),
        _ => block_on(),
    };
    assert_eq!(spell(&answer), "EPIPE");
}

/// A scene in which a guard must protect only its own thread.
fn alone(scene: Scene) -> Scene {
    let protection = epipe::protection();
    let is_of_the_thread = protection.pipe_write().contains(&Technique::ThreadMask);
    scene.only_where(is_of_the_thread, "a guard protects the process here")
}

pub fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    // A handler guard protects every thread of the process while it lasts.
    let is_mask = crate::masks_the_thread();
    let rows = DOCS.lines().filter_map(|line| line.strip_prefix("/// | ")?.strip_suffix(" |"));
    for row in rows.skip(1) {
        let mut cells = row.split(" | ");
        let what = cells.next().unwrap();
        let columns = [Means::GuardThreads, Means::Suppressed, Means::Both, Means::BuiltInside];
        let cells: Vec<_> = cells.collect();
        assert_eq!(cells.len(), columns.len(), "{row}");
        for (means, cell) in columns.into_iter().zip(cells) {
            let name = format!("tokio runtime, {what}: {means:?}");
            let scene = match cell {
                "safe" => Scene::survives(name, move || play(what, means)),
                "killed" => Scene::dies(name, move || play(what, means))
                    .only_where(is_mask || means == Means::GuardThreads, "the guard is no mask"),
                _ => panic!("{row}"),
            };
            let is_inherited = cell == "killed" || means == Means::BuiltInside;
            scenes.push(if is_inherited { alone(scene) } else { scene });
        }
        let name = format!("tokio runtime, {what}: control");
        scenes.push(Scene::dies(name, move || play(what, Means::Nothing)));
    }
    let what = "a task of a multi-thread runtime";
    scenes.push(alone(Scene::dies(format!("tokio runtime, {what}: Replaced"), move || {
        play(what, Means::Replaced);
    })));
    assert_eq!(scenes.len(), 26);
    scenes
}
