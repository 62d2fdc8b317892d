//! The proof: every write that this crate owns survives a vanished peer, next to a control
//! that dies in the same scene.
//!
//! Each scene is played by a child process that is a foreign host (see `support`); the parent
//! judges it by its exit status. What depends on the rungs is told by `cfg(epipe_refused)`:
//! `ci/refused` runs the same table with each rung taken away.

#![allow(missing_docs, reason = "a test")]
#![allow(
    unsafe_code,
    reason = "signals, FIFOs and borrowed descriptors have no safe form"
)]
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod guards;
mod handler;
mod pipes;
mod refusals;
mod sockets;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// What a scene's child must do.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Survives,
    Dies,
}

/// One scene, played in a child.
struct Scene {
    name: String,
    ending: Ending,
    play: Box<dyn Fn() + Send + Sync>,
}

impl Scene {
    fn survives(name: impl Into<String>, play: impl Fn() + Send + Sync + 'static) -> Scene {
        Scene {
            name: name.into(),
            ending: Ending::Survives,
            play: Box::new(play),
        }
    }

    fn dies(name: impl Into<String>, play: impl Fn() + Send + Sync + 'static) -> Scene {
        Scene {
            name: name.into(),
            ending: Ending::Dies,
            play: Box::new(play),
        }
    }

    fn judge(name: &str, ending: Ending) -> Result<(), Failed> {
        let fate = support::fate_of(name)?;
        let as_told = match ending {
            Ending::Survives => fate.survived(),
            Ending::Dies => fate.killed_by_sigpipe(),
        };
        if as_told {
            return Ok(());
        }
        let wanted = match ending {
            Ending::Survives => "should survive",
            Ending::Dies => "is a control and should die of SIGPIPE",
        };
        Err(format!("the child {wanted}: {}\n{}", fate.status, fate.output).into())
    }
}

fn main() -> ExitCode {
    let scenes = [
        sockets::scenes(),
        pipes::scenes(),
        guards::scenes(),
        handler::scenes(),
        bad_input::scenes(),
        refusals::scenes(),
    ];
    let scenes: Vec<Scene> = scenes.into_iter().flatten().collect();

    if let Ok(name) = std::env::var(support::SCENE) {
        let scene = scenes
            .iter()
            .find(|scene| scene.name == name)
            .expect("a scene's name");
        support::become_a_foreign_host();
        (scene.play)();
        return ExitCode::SUCCESS;
    }

    let trials = scenes
        .iter()
        .map(|scene| {
            let (name, ending) = (scene.name.clone(), scene.ending);
            Trial::test(name.clone(), move || Scene::judge(&name, ending))
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
