//! A scene, and how it is judged.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::liar::Liar;
use crate::support;

/// What a scene's child must do.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Survives,
    Dies,
}

/// One scene, played in a child.
pub struct Scene {
    name: String,
    ending: Ending,
    play: Box<dyn Fn() + Send + Sync>,
    liar: Option<Liar>,
    can_be_played: bool,
}

impl Scene {
    pub fn survives(name: impl Into<String>, play: impl Fn() + Send + Sync + 'static) -> Scene {
        Scene {
            name: name.into(),
            ending: Ending::Survives,
            play: Box::new(play),
            liar: None,
            can_be_played: true,
        }
    }

    pub fn dies(name: impl Into<String>, play: impl Fn() + Send + Sync + 'static) -> Scene {
        Scene {
            name: name.into(),
            ending: Ending::Dies,
            play: Box::new(play),
            liar: None,
            can_be_played: true,
        }
    }

    /// The scene is played with a liar loaded before libc.
    pub fn under(mut self, liar: &Liar) -> Scene {
        self.liar = Some(liar.clone());
        self
    }

    /// A scene that may take minutes.
    #[allow(dead_code, reason = "tests/openssl has one")]
    pub fn patient(self) -> Scene {
        let Scene { play, .. } = self;
        Scene {
            play: Box::new(move || {
                support::end_after(1500);
                play();
            }),
            ..self
        }
    }

    /// A scene that this machine cannot play counts as ignored, not as passed.
    pub fn only_if(mut self, can_be_played: bool) -> Scene {
        self.can_be_played &= can_be_played;
        self
    }

    fn judge(&self, group: usize) -> Result<(), Failed> {
        let library = self.liar.as_ref().map(Liar::build).transpose()?;
        let fate = support::fate_of(group, &self.name, library.as_deref())?;
        let as_told = match self.ending {
            Ending::Survives => fate.survived(),
            Ending::Dies => fate.killed_by_sigpipe(),
        };
        if as_told {
            return Ok(());
        }
        let wanted = match self.ending {
            Ending::Survives => "should survive",
            Ending::Dies => "is a control and should die of SIGPIPE",
        };
        Err(format!("the child {wanted}: {}\n{}", fate.status, fate.output).into())
    }
}

/// Scenes are made by the group: a child makes its own alone, for making all takes longer than most play.
pub type Group = fn() -> Vec<Scene>;

/// Plays the scene that the environment names, after `begin`; else judges all of them as libtest
/// would, and plays `more`, which is told their names, beside them. Those with a liar are left out if one is loaded already.
pub fn run(
    groups: &[Group],
    begin: impl FnOnce(),
    lied_to: bool,
    more: impl FnOnce(&[String]) -> Vec<Trial>,
) -> ExitCode {
    if let Ok(name) = std::env::var(support::SCENE) {
        let groups = match std::env::var(support::GROUP) {
            Ok(number) => &groups[number.parse().expect("a group's number")..][..1],
            Err(_) => groups, // somebody calls it by hand
        };
        let mut scenes = groups.iter().flat_map(|group| group());
        let scene = scenes
            .find(|scene| scene.name == name)
            .expect("a scene's name");
        support::become_a_foreign_host();
        begin();
        (scene.play)();
        return ExitCode::SUCCESS;
    }

    let mut trials = Vec::new();
    let mut names = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        for scene in group() {
            let can_be_played = scene.can_be_played && !(lied_to && scene.liar.is_some());
            names.push(scene.name.clone());
            let trial = Trial::test(scene.name.clone(), move || scene.judge(number));
            trials.push(trial.with_ignored_flag(!can_be_played));
        }
    }
    trials.extend(more(&names));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
