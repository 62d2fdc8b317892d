//! A scene: a test that a child process plays, and the ending that it must have.
//!
//! By hand: `cargo test --test sigpipe -- --exact "pipe: write: control"` plays one scene and
//! judges it. To watch its child with strace or a debugger, call the test program directly. Cargo
//! prints its path: `strace -f target/debug/deps/sigpipe-… --scene "pipe: write: control"`. The
//! child is the same command with `EPIPE_FATE` set.

use std::process::{Command, ExitCode};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::{env, panic, thread};

use epipe_testing::{Fate, Rerun, assert_killed, assert_survives};

use crate::ignored_flag::Preload;
use crate::support;

#[path = "../support/harness.rs"]
pub mod harness;

use harness::{Failed, Trial};

/// How a scene's child must end.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Survives,
    /// It survives, and ends the process directly: its sandbox allows nothing else.
    Exits,
    Dies,
}

/// One scene, played in a child.
pub struct Scene {
    name: String,
    ending: Ending,
    play: Box<dyn Fn() + Send + Sync>,
    library: Option<Preload>,
    /// Why it is not played here. The text may be empty.
    ignored: Option<&'static str>,
    is_alone: bool,
    timeout: Duration,
}

impl Scene {
    pub fn survives(name: impl Into<String>, play: impl Fn() + Send + Sync + 'static) -> Scene {
        Scene {
            name: name.into(),
            ending: Ending::Survives,
            play: Box::new(play),
            library: None,
            ignored: None,
            is_alone: false,
            timeout: Duration::from_secs(20),
        }
    }

    pub fn dies(name: impl Into<String>, play: impl Fn() + Send + Sync + 'static) -> Scene {
        Scene { ending: Ending::Dies, ..Scene::survives(name, play) }
    }

    /// A scene that survives, and ends the process directly with status 0.
    #[allow(dead_code, reason = "crates/epipe-openssl/tests has none")]
    pub fn exits(mut self) -> Scene {
        self.ending = Ending::Exits;
        self
    }

    /// Plays the scene with a library loaded before libc.
    #[allow(dead_code, reason = "only Linux's scenes do")]
    pub fn under(mut self, library: &Preload) -> Scene {
        self.library = Some(library.clone());
        self
    }

    /// A scene that may take minutes.
    #[allow(dead_code, reason = "crates/epipe-openssl/tests has one")]
    pub fn patient(self) -> Scene {
        self.within(Duration::from_secs(1500))
    }

    /// A scene that must have no other threads, even under a model: it is about signals of the
    /// process.
    #[allow(dead_code, reason = "the root has some")]
    pub fn alone(mut self) -> Scene {
        self.is_alone = true;
        self
    }

    /// A scene that may take this long.
    #[allow(dead_code, reason = "the root has some")]
    pub fn within(mut self, timeout: Duration) -> Scene {
        self.timeout = timeout;
        self
    }

    /// A scene that this machine cannot play counts as ignored, not as passed.
    #[allow(dead_code, reason = "Linux's scenes do")]
    pub fn only_if(self, can_be_played: bool) -> Scene {
        self.only_where(can_be_played, "")
    }

    /// The same, with a reason.
    pub fn only_where(mut self, can_be_played: bool, why_not: &'static str) -> Scene {
        if !can_be_played {
            self.ignored.get_or_insert(why_not);
        }
        self
    }

    /// A control whose call raises no SIGPIPE on this system counts as ignored, with that reason. A
    /// scene that is not a control is still played.
    pub fn control_only_if(self, can_die: bool) -> Scene {
        let is_played = can_die || self.ending != Ending::Dies;
        self.only_where(is_played, "this system raises no SIGPIPE here")
    }

    /// Plays the scene in a child, after `begin`, and judges the ending. The child enters this
    /// function too. Returns the output of a scene that returned.
    fn judge(&self, group: Option<&str>, begin: fn()) -> Result<String, Failed> {
        let args = [SCENE, &self.name].into_iter().chain(group);
        let model = model();
        // `ci/ignored-flags` loads one into the parent.
        let is_loaded = is_child() && env::var_os(PRELOAD).is_some();
        let run = match self.library.as_ref().or(model.as_ref()) {
            Some(library) if !is_loaded => {
                let mut command: Command = support::this_program();
                command.args(args).env(PRELOAD, library.build()?);
                Rerun::from(command)
            }
            // In the child it is already loaded.
            _ => Rerun::args(args)?,
        };
        let run = run.timeout(self.timeout);
        let play = || {
            begin();
            match &model {
                Some(_) if !self.is_alone => beside_other_threads(&self.play),
                _ => (self.play)(),
            }
        };
        match self.ending {
            Ending::Survives => return Ok(assert_survives!(run, play)),
            Ending::Exits => match run.fate_of(play)? {
                Fate::Exited(0) => {}
                fate => return Err(format!("the scene should exit with status 0: {fate}").into()),
            },
            Ending::Dies => assert_killed!(run, play),
        }
        Ok(String::new())
    }
}

/// The model of another kernel under which all scenes are played: `EPIPE_MODEL=xnu_7195`.
pub fn model() -> Option<Preload> {
    env::var("EPIPE_MODEL").ok().map(|kernel| Preload::model(&kernel))
}

/// Plays a scene on a new thread. A SIGPIPE of the process goes to its first thread, which blocks
/// nothing. On the first thread, the scene's own mask would hide the signal.
fn beside_other_threads(play: &(dyn Fn() + Send + Sync)) {
    static ENDS: AtomicBool = AtomicBool::new(false);
    for _ in 0..2 {
        thread::spawn(|| {
            while !ENDS.load(Relaxed) {
                thread::yield_now()
            }
        });
    }
    let played = thread::scope(|scope| scope.spawn(play).join());
    ENDS.store(true, Relaxed);
    if let Err(panic) = played {
        panic::resume_unwind(panic);
    }
}

/// The first argument of a child, before the scene's name and its group's number.
const SCENE: &str = "--scene";
/// The variable with the libraries that the dynamic linker loads first.
const PRELOAD: &str = "LD_PRELOAD";

/// Whether this process was started for one scene.
pub fn is_child() -> bool {
    env::args_os().nth(1).is_some_and(|arg| arg == SCENE)
}

/// Scenes are made in groups. A child makes only the group of its scene: to make all of them takes
/// longer than most scenes.
pub type Group = fn() -> Vec<Scene>;

/// Plays the scene that the arguments name, after `begin`. Otherwise judges all scenes as libtest
/// would, and also plays `more`, which gets their names. In a suite, scenes with their own library
/// are left out.
pub fn run(
    groups: &[Group],
    begin: fn(),
    is_suite: bool,
    more: impl FnOnce(&[String]) -> Vec<Trial>,
) -> ExitCode {
    if is_child() {
        let name = env::args().nth(2).expect("a scene's name");
        let group = env::args().nth(3);
        let groups = match &group {
            Some(number) => &groups[number.parse().expect("a group's number")..][..1],
            None => groups, // called by hand
        };
        let mut scenes = groups.iter().flat_map(|group| group());
        let scene = scenes.find(|scene| scene.name == name);
        let scene = scene.expect("there is no such scene");
        // The child ends inside `judge`.
        return match scene.judge(group.as_deref(), begin) {
            Ok(printed) => {
                println!("{printed}the scene ends as it should");
                ExitCode::SUCCESS
            }
            Err(Failed(why)) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }

    let mut trials = Vec::new();
    let mut names = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        for scene in group() {
            let has_two_libraries = is_suite && scene.library.is_some();
            let ignored =
                scene.ignored.or(has_two_libraries.then_some("a suite loads its own library"));
            names.push(scene.name.clone());
            let name = scene.name.clone();
            let trial =
                Trial::test(name, move || scene.judge(Some(&number.to_string()), begin).map(drop));
            trials.push(trial.ignored(ignored));
        }
    }
    trials.extend(more(&names));
    harness::run(trials)
}
