//! One run: polite clients as the control, attacks, and what the server says to both.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockAddr;

use super::args::{Options, Result};
use super::attack::{self, Attack, Random, When};
use super::net::{Answer, Fate, Held, NotOpen, Volley};
use super::report::Report;
use super::victim::{Death, How, Process, Spawned};

/// How long a connect and a first answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may need beyond its usual time.
const MARGIN: Duration = Duration::from_millis(60);
/// An answer is over when nothing has come for so long.
const QUIET: Duration = Duration::from_millis(100);
/// The same of the first answer, which says how long the others are.
const FIRST_QUIET: Duration = Duration::from_secs(1);
/// Who refuses now and after this time is dead.
const LATER: Duration = Duration::from_secs(2);
/// How long a server that was started may need until it listens.
const START: Duration = Duration::from_secs(10);

/// What is said at the end.
#[derive(Debug)]
pub enum Verdict {
    Killed {
        by: String,
        /// The attacks that were under way; empty if a polite client did it.
        attacks: Vec<Attack>,
        is_sigpipe: Option<bool>,
    },
    Survived,
    None(String),
}

/// What an attack, or the control, has shown.
#[derive(Debug, PartialEq)]
enum Sign {
    Fine,
    /// A connection behind the attacks, or beside them, ended without an answer, or was refused at
    /// first: another process serves now.
    Replaced,
    Dead(String, Option<bool>),
    /// It ended with status 0, or nothing can be told any more.
    Ended(String),
    /// All connections that were allowed are made.
    NoMore,
}

/// What a polite client has learned of the server.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// Of the answer; 0 if there was none.
    pub bytes: usize,
    /// From the request to the last byte.
    pub time: Duration,
    /// A client that says nothing keeps the others waiting.
    pub one_at_a_time: bool,
}

pub struct Session<'a> {
    options: &'a Options,
    report: &'a mut Report,
    address: SockAddr,
    usual: Usual,
    spawned: Option<Spawned>,
    process: Option<Process>,
    /// Connections that say nothing, and end with the process that has accepted them.
    canaries: Vec<Held>,
    /// The control has shown the same sign as an attack would.
    is_noisy: bool,
    begun: Instant,
    next_open: Instant,
    opened: u64,
    polite: u64,
    attacks: u64,
    /// Of each kind: those that vanished, and why others did not.
    pub kinds: BTreeMap<String, [u64; 4]>,
}

pub struct Outcome {
    pub verdict: Verdict,
    pub attacks: u64,
    pub polite: u64,
    pub seconds: f64,
    pub kinds: BTreeMap<String, [u64; 4]>,
    pub forks: u64,
    pub usual: Usual,
    pub deaths: u64,
}

/// Runs it all.
pub fn run(options: &Options, report: &mut Report) -> Result<Outcome> {
    let spawned =
        match options.spawn.is_empty() {
            true => None,
            false => Some(Spawned::start(&options.spawn).map_err(|error| {
                format!("--spawn {}: {error}", options.spawn[0].to_string_lossy())
            })?),
        };
    if let Some(error) = spawned.as_ref().and_then(|s| s.untraced.as_ref()) {
        report.note(&format!("processes that the server forks are not watched: ptrace: {error}"));
    }
    let process = match options.pid {
        Some(pid) => Some(Process::watch(pid).map_err(|error| format!("--pid {pid}: {error}"))?),
        None => None,
    };
    let now = Instant::now();
    let mut session = Session {
        options,
        report,
        address: options.addresses[0].clone(),
        usual: Usual {
            bytes: 0,
            time: Duration::from_millis(200),
            one_at_a_time: options.open == 1,
        },
        spawned,
        process,
        canaries: Vec::new(),
        is_noisy: false,
        begun: now,
        next_open: now,
        opened: 0,
        polite: 0,
        attacks: 0,
        kinds: BTreeMap::new(),
    };
    let (verdict, deaths) = session.whole();
    Ok(Outcome {
        verdict,
        attacks: session.attacks,
        polite: session.polite,
        seconds: session.begun.elapsed().as_secs_f64(),
        forks: session.spawned.as_ref().map_or(0, |spawned| spawned.forks),
        usual: session.usual,
        kinds: std::mem::take(&mut session.kinds),
        deaths,
    })
}

impl Session<'_> {
    fn whole(&mut self) -> (Verdict, u64) {
        if let Err(why) = self.first() {
            return (Verdict::None(why), 0);
        }
        self.report.usual(&self.usual);
        self.begun = Instant::now();
        let mut random = Random(self.options.seed);
        let mut number = 0;
        let mut deaths = 0;
        let mut last = None;
        while !self.is_over() {
            let volleys = match self.options.attacks.is_empty() {
                true => attack::cycle(number, self.options.requests.tls.is_some(), &mut random),
                false => vec![self.options.attacks.clone()],
            };
            number += 1;
            for volley in volleys {
                match self.volley(&volley) {
                    Ok(()) => {}
                    Err(Verdict::Killed { by, attacks, is_sigpipe }) if self.options.keep_going => {
                        deaths += 1;
                        self.report.note(&format!("death {deaths}: {by}"));
                        last = Some(Verdict::Killed { by, attacks, is_sigpipe });
                        if !self.revive() {
                            return (last.unwrap_or(Verdict::Survived), deaths);
                        }
                    }
                    Err(verdict) => {
                        deaths += u64::from(matches!(verdict, Verdict::Killed { .. }));
                        return (last.unwrap_or(verdict), deaths);
                    }
                }
                if self.is_over() {
                    break;
                }
            }
        }
        (last.unwrap_or(Verdict::Survived), deaths)
    }

    fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.options.time
    }

    /// Waits until a connection may be made. False: no more of them.
    fn may_open(&mut self, what: &str) -> bool {
        if self.opened >= self.options.total {
            return false;
        }
        if let Some(rate) = self.options.rate {
            thread::sleep(self.next_open.saturating_duration_since(Instant::now()));
            self.next_open = Instant::now() + Duration::from_secs(1) / rate as u32;
        }
        self.opened += 1;
        self.report.connection(self.opened, what);
        true
    }

    /// The first polite exchange, and what else is to be known before.
    fn first(&mut self) -> std::result::Result<(), String> {
        let name = self.options.target.clone();
        let by = Instant::now() + if self.spawned.is_some() { START } else { Duration::ZERO };
        let mut held = loop {
            let mut last = String::new();
            let mut found = None;
            for address in &self.options.addresses {
                self.opened += 1;
                match Held::ask(address, self.options.requests.first(), PATIENCE) {
                    Ok(held) => {
                        self.address = address.clone();
                        found = Some(held);
                        break;
                    }
                    Err(NotOpen::Refused) => last = "nothing listens".into(),
                    Err(NotOpen::Busy) => last = "it does not accept".into(),
                    Err(NotOpen::Failed(error)) => last = error.to_string(),
                }
            }
            if let Some(held) = found {
                break held;
            }
            if let Some(death) = self.next_death(Duration::from_millis(20)) {
                return Err(format!("the server has ended before it listened: {}", death.how));
            }
            if Instant::now() >= by {
                return Err(format!("{name}: {last}"));
            }
        };
        self.polite += 1;
        match held.answer(usize::MAX, FIRST_QUIET, PATIENCE) {
            Answer::Whole { bytes, after } => {
                self.usual = Usual { bytes, time: after, ..self.usual }
            }
            Answer::Silent => self.report.note(
                "it has not answered a polite client: is this what it expects? (--request, --send)",
            ),
            Answer::Dropped => {
                if let Some(error) = &held.refusal {
                    return Err(format!("TLS: {error}"));
                }
                return Err("it ends the connection of a polite client at once".into());
            }
        }
        drop(held);
        if self.usual.bytes > 0 && self.options.open >= 2 {
            self.find_out_whether_one_at_a_time()?;
        }
        // A server that serves one client, and ends.
        match self.polite_exchange(self.patience(1)) {
            Sign::Fine | Sign::NoMore => Ok(()),
            sign => Err(format!("it ends after a polite client: {sign:?}")),
        }
    }

    fn find_out_whether_one_at_a_time(&mut self) -> std::result::Result<(), String> {
        let open = |session: &mut Self| {
            session.may_open("held");
            Held::open(&session.address, PATIENCE).map_err(|_| ends_after_one())
        };
        let silent = open(self)?;
        let patience = 2 * self.usual.time + 4 * MARGIN;
        self.may_open("polite");
        let mut beside = Held::ask(&self.address, self.options.requests.first(), PATIENCE)
            .map_err(|_| ends_after_one())?;
        self.usual.one_at_a_time = self.is_answered(&mut beside, patience) == Answer::Silent;
        drop(silent);
        self.is_answered(&mut beside, PATIENCE + patience);
        self.polite += 1;
        let is_outside = self.spawned.is_none() && self.process.is_none();
        if is_outside && !self.usual.one_at_a_time && self.options.open >= 4 {
            self.canaries = vec![open(self)?, open(self)?];
            // It may have as many places as that.
            if self.polite_exchange(patience) != Sign::Fine {
                self.canaries.clear();
            }
        }
        Ok(())
    }

    fn is_answered(&self, held: &mut Held, patience: Duration) -> Answer {
        held.answer(self.usual.bytes.max(1), QUIET, patience)
    }

    /// How long the last of so many clients may have to wait.
    fn patience(&self, clients: usize) -> Duration {
        let queue = if self.usual.one_at_a_time { clients as u32 } else { 1 };
        (self.usual.time + MARGIN) * (queue + 1) * 2 + Duration::from_millis(500)
    }

    /// One volley, as many at once as may be, each with its control before.
    fn volley(&mut self, volley: &[Attack]) -> std::result::Result<(), Verdict> {
        let queued = usize::from(volley.iter().any(|attack| attack.queued));
        // The follower, the canaries, and who occupies the server.
        let others = 1 + self.canaries.len() + queued;
        if queued == 1 && self.options.open <= others {
            return Ok(());
        }
        let mut most = self.options.open.saturating_sub(others).max(1);
        let mut volley = volley.to_vec();
        if self.usual.one_at_a_time {
            // All wait for each other, in the control too.
            let seconds = self.usual.time.as_secs_f64().max(0.001);
            let few = ((1.5 / seconds) as usize).clamp(4, 24);
            if volley.len() > few {
                // Those delays that it may still be thinking.
                most = most.min(few);
                let step = self.usual.time / (few as u32 + 1);
                volley.truncate(few);
                for (attack, number) in volley.iter_mut().zip(1..) {
                    if let When::Late(_) = attack.when {
                        attack.when = When::Late(step * number);
                    }
                }
            }
        }
        for part in volley.chunks(most) {
            if self.options.polite {
                self.control(part.len());
            } else {
                self.part(part)?;
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &[Attack]) -> std::result::Result<(), Verdict> {
        let control = self.control(part.len());
        match control {
            Sign::Fine => {}
            Sign::Replaced => self.is_noisy = true,
            Sign::Dead(by, Some(true)) => {
                return Err(Verdict::Killed { by, attacks: Vec::new(), is_sigpipe: Some(true) });
            }
            Sign::Dead(by, _) | Sign::Ended(by) => {
                return Err(Verdict::None(format!("a polite client ended it: {by}")));
            }
            Sign::NoMore => return Err(self.no_more()),
        }
        match self.attack(part) {
            Sign::Fine => Ok(()),
            Sign::NoMore => Err(self.no_more()),
            Sign::Ended(by) => Err(Verdict::None(by)),
            Sign::Dead(by, is_sigpipe) => {
                let attacks = self.the_one_that_kills(part);
                Err(Verdict::Killed { by, attacks, is_sigpipe })
            }
            Sign::Replaced if self.is_noisy => Ok(()),
            Sign::Replaced => self.confirm(part),
        }
    }

    fn no_more(&self) -> Verdict {
        Verdict::Survived
    }

    /// Whether the sign is there after the attacks, again and again, and never after the control.
    fn confirm(&mut self, part: &[Attack]) -> std::result::Result<(), Verdict> {
        let mut seen = 1;
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(200)); // it is being started again
            match self.control(part.len().max(2)) {
                Sign::Fine => {}
                _ => {
                    self.is_noisy = true;
                    return Ok(());
                }
            }
            match self.attack(part) {
                Sign::Replaced => seen += 1,
                Sign::Dead(by, is_sigpipe) => {
                    return Err(Verdict::Killed { by, attacks: part.to_vec(), is_sigpipe });
                }
                _ => {}
            }
            if seen == 3 {
                let by = format!(
                    "{seen} times the connections beside the attacks ended, and never beside polite \
                     clients: its process dies, and another serves"
                );
                let attacks = self.the_one_that_kills(part);
                return Err(Verdict::Killed { by, attacks, is_sigpipe: None });
            }
        }
        Ok(())
    }

    /// Of a server that serves again, what alone kills it.
    fn the_one_that_kills(&mut self, part: &[Attack]) -> Vec<Attack> {
        let mut alone = part.to_vec();
        alone.dedup();
        if part.len() > 1 {
            for attack in alone.repeat(2) {
                if !self.revive() {
                    break;
                }
                if matches!(self.attack(&[attack]), Sign::Dead(..) | Sign::Replaced) {
                    return vec![attack];
                }
            }
        }
        part.to_vec()
    }

    /// Starts the server again if it has ended. False: it does not serve.
    fn revive(&mut self) -> bool {
        if let Some(spawned) = &self.spawned {
            if spawned.is_running() {
                return true;
            }
            let forks = spawned.forks;
            self.spawned = None;
            let Ok(mut spawned) = Spawned::start(&self.options.spawn) else {
                return false;
            };
            spawned.forks += forks;
            self.spawned = Some(spawned);
        } else if self.process.as_ref().is_some_and(Process::is_gone) {
            return false;
        }
        let by = Instant::now() + if self.spawned.is_some() { START } else { LATER };
        while Instant::now() < by {
            if self.polite_exchange(self.patience(1)) == Sign::Fine {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// So many polite clients at once, if there were not enough of them.
    fn control(&mut self, clients: usize) -> Sign {
        let wanted = (self.attacks + clients as u64).saturating_sub(self.polite) as usize;
        let wanted = if self.options.polite { clients } else { wanted.min(clients) };
        let most = self.options.open.saturating_sub(self.canaries.len()).max(1);
        let mut left = wanted;
        while left > 0 {
            let together = left.min(most);
            left -= together;
            let patience = self.patience(together);
            let mut clients = Vec::new();
            for _ in 0..together {
                if !self.may_open("polite") {
                    return Sign::NoMore;
                }
                self.polite += 1;
                match Held::ask(&self.address, self.options.requests.first(), PATIENCE) {
                    Ok(held) => clients.push(held),
                    Err(NotOpen::Refused) => return self.refused(),
                    // It cannot take so many.
                    Err(NotOpen::Busy | NotOpen::Failed(_)) => {}
                }
            }
            let mut sign = Sign::Fine;
            for mut client in clients {
                if self.is_answered(&mut client, patience) == Answer::Dropped {
                    sign = Sign::Replaced;
                }
            }
            if let Some(sign) = self.death_sign(Duration::ZERO) {
                return sign;
            }
            if self.renew_canaries() {
                sign = Sign::Replaced;
            }
            if sign != Sign::Fine {
                return sign;
            }
        }
        Sign::Fine
    }

    /// One polite client.
    fn polite_exchange(&mut self, patience: Duration) -> Sign {
        if !self.may_open("polite") {
            return Sign::NoMore;
        }
        self.polite += 1;
        match Held::ask(&self.address, self.options.requests.first(), PATIENCE) {
            Ok(mut held) => match self.is_answered(&mut held, patience) {
                Answer::Whole { .. } => Sign::Fine,
                Answer::Silent if self.usual.bytes == 0 => Sign::Fine,
                Answer::Silent => Sign::Ended("it answers no more".into()),
                Answer::Dropped => Sign::Replaced,
            },
            Err(NotOpen::Refused) => Sign::Dead("it refuses connections".into(), None),
            Err(_) => Sign::Ended("it accepts no more".into()),
        }
    }

    /// All of these at once, and what they have done.
    fn attack(&mut self, attacks: &[Attack]) -> Sign {
        let request = self.options.requests.first();
        let mut occupier = None;
        if attacks.iter().any(|attack| attack.queued) {
            if !self.may_open("held") {
                return Sign::NoMore;
            }
            occupier = Held::open(&self.address, PATIENCE).ok();
        }
        if self.opened + attacks.len() as u64 + 2 > self.options.total {
            return Sign::NoMore;
        }
        let address = self.address.clone();
        let volley = Volley {
            address: &address,
            requests: &self.options.requests,
            attacks,
            patience: self.patience(attacks.len()).min(PATIENCE),
            whole: self.usual.bytes.clamp(1, 65536),
        };
        let has_follower = self.options.open > 1;
        let mut follower = None;
        let session = std::cell::RefCell::new(&mut *self);
        let fates = volley.fire(
            |attack| {
                session.borrow_mut().may_open(&attack.to_string());
            },
            || {
                if has_follower {
                    session.borrow_mut().may_open("follower");
                    follower = Some(Held::ask(&address, request, PATIENCE));
                }
                if let Some(occupier) = &mut occupier {
                    occupier.say(request, PATIENCE);
                }
            },
        );
        let mut refused = false;
        for (attack, fate) in attacks.iter().zip(fates) {
            let of_kind = self.kinds.entry(attack.kind()).or_default();
            let column = match fate {
                Fate::Vanished => 0,
                Fate::TooLate => 1,
                Fate::NoAnswer => 2,
                Fate::Refused | Fate::NotMade => 3,
            };
            of_kind[column] += 1;
            self.attacks += u64::from(fate == Fate::Vanished);
            refused |= fate == Fate::Refused;
        }
        self.report.progress(self.attacks, self.begun.elapsed(), self.options.time);
        let patience = self.patience(attacks.len());
        if let Some(mut occupier) = occupier {
            self.is_answered(&mut occupier, patience);
        }
        if self.options.gentle {
            thread::sleep(Duration::from_secs(1));
        }
        self.look(follower, refused, patience)
    }

    /// What has become of the server since the last has vanished.
    fn look(
        &mut self,
        follower: Option<std::result::Result<Held, NotOpen>>,
        mut refused: bool,
        patience: Duration,
    ) -> Sign {
        let mut replaced = false;
        // A server that takes one client at a time is done with the attacks when it answers this.
        match follower {
            Some(Ok(mut follower)) => {
                let answer = loop {
                    let answer = self.is_answered(&mut follower, Duration::ZERO);
                    if answer != Answer::Silent || follower.age() > patience {
                        break answer;
                    }
                    if let Some(sign) = self.death_sign(Duration::from_millis(1)) {
                        return sign;
                    }
                };
                replaced = answer == Answer::Dropped;
                self.polite += u64::from(matches!(answer, Answer::Whole { .. }));
            }
            Some(Err(NotOpen::Refused)) => refused = true,
            _ => {}
        }
        // Others may still be thinking about an answer.
        let think = if self.usual.one_at_a_time { Duration::ZERO } else { self.usual.time };
        if let Some(sign) = self.death_sign(think + MARGIN) {
            return sign;
        }
        replaced |= self.renew_canaries();
        if self.spawned.is_some() && !refused && !replaced {
            return Sign::Fine;
        }
        if !refused {
            match self.polite_exchange(patience) {
                Sign::Fine if replaced => return Sign::Replaced,
                Sign::Dead(..) => {}
                Sign::Ended(_) => return self.silent(patience),
                sign => return sign,
            }
        }
        self.refused()
    }

    /// It answers nothing: for how long?
    fn silent(&mut self, patience: Duration) -> Sign {
        for _ in 0..2 {
            thread::sleep(LATER / 2);
            match self.polite_exchange(2 * patience) {
                Sign::Ended(_) => {}
                Sign::Dead(..) => return self.refused(),
                sign => return sign,
            }
        }
        Sign::Dead("it accepts, and answers nothing since".into(), None)
    }

    /// It refuses: for how long?
    fn refused(&mut self) -> Sign {
        if let Some(sign) = self.death_sign(Duration::from_millis(200)) {
            return sign;
        }
        thread::sleep(LATER);
        match self.polite_exchange(self.patience(1)) {
            Sign::Dead(..) => {
                if let Some(sign) = self.death_sign(Duration::ZERO) {
                    return sign;
                }
                Sign::Dead("it refuses connections since, and 2 s later".into(), None)
            }
            Sign::NoMore => Sign::NoMore,
            _ => Sign::Replaced,
        }
    }

    /// Whether one has ended, which is opened again.
    fn renew_canaries(&mut self) -> bool {
        let count = self.canaries.len();
        self.canaries.retain_mut(|canary| !canary.is_over());
        let lost = count - self.canaries.len();
        for _ in 0..lost {
            if self.may_open("held") {
                self.canaries.extend(Held::open(&self.address, PATIENCE).ok());
            }
        }
        lost > 0
    }

    /// Waits so long for a death that is seen by other means than by connections.
    fn death_sign(&mut self, within: Duration) -> Option<Sign> {
        let death = self.next_death(within)?;
        let who = match death.is_first {
            true => format!("process {}", death.pid),
            false => format!("process {}, which the server forked,", death.pid),
        };
        Some(match death.how {
            How::Status(0) => Sign::Ended(format!("{who} ended by itself, with status 0")),
            How::Vanished => Sign::Dead(format!("{who} is gone"), None),
            How::Signal(libc::SIGPIPE) => {
                Sign::Dead(format!("{who} was killed by SIGPIPE"), Some(true))
            }
            how => Sign::Dead(format!("{who} ended by {how}"), Some(false)),
        })
    }

    /// The next death that means something.
    fn next_death(&mut self, within: Duration) -> Option<Death> {
        let by = Instant::now() + within;
        let (Some(spawned), None) = (&mut self.spawned, &self.process) else {
            let Some(process) = &self.process else {
                thread::sleep(within);
                return None;
            };
            loop {
                if process.is_gone() {
                    return Some(Death { pid: process.pid, is_first: true, how: How::Vanished });
                }
                let left = by.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::sleep(left.min(Duration::from_millis(5)));
            }
        };
        loop {
            let death = spawned.death(by)?;
            let crashed = matches!(
                death.how,
                How::Signal(
                    libc::SIGPIPE
                        | libc::SIGSEGV
                        | libc::SIGABRT
                        | libc::SIGBUS
                        | libc::SIGILL
                        | libc::SIGFPE
                ) | How::Status(101)
            );
            // A worker's other ends are its own affair, and so is that of the first process of a
            // server that goes on in another.
            if crashed || !spawned.is_running() || death.is_first && death.how.is_failure() {
                return Some(death);
            }
        }
    }
}

fn ends_after_one() -> String {
    "it serves one client, and ends".into()
}
