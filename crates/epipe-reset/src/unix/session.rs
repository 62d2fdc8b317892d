//! One run: polite clients as the control, attacks, and what the server says to both.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockAddr;

use super::args::{Options, Result};
use super::attack::{Attack, Random};
use super::gate::Gate;
use super::net::NotOpen;
use super::plan::{canaries, due, parts, volleys};
use super::polite::{Answer, Held};
use super::report::Report;
use super::victim::{Death, How, Process, Spawned};
use super::volley::{Fate, Volley};

/// How long a connect and a first answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may need beyond its usual time.
const MARGIN: Duration = Duration::from_millis(60);
/// An answer is over when nothing has come for so long, if it is shorter than the first was.
const QUIET: Duration = Duration::from_secs(1);
/// A server that refuses now, and still does after this time, is dead.
const LATER: Duration = Duration::from_secs(2);
/// How long a server that was started may need until it listens.
const START: Duration = Duration::from_secs(10);
/// No more of an answer is waited for.
const LONGEST: usize = 16 << 20;
/// For how long the attacks that killed, or seem to have, are tried again.
const MOST_REPLAY: Duration = Duration::from_secs(15);

/// What is said at the end.
#[derive(Default)]
pub enum RunResult {
    Killed(Kill),
    #[default]
    Survived,
    Undecided(String),
}

pub struct Kill {
    pub by: String,
    /// Seconds after the first attack.
    pub after: f64,
    /// The attacks that were under way; empty if polite clients did it.
    pub attacks: Vec<Attack>,
    /// How often these have killed it again, of how many tries; none can be made if it is gone.
    pub replayed: Option<(u32, u32)>,
}

/// What an attack, or the control, has shown.
#[derive(PartialEq)]
enum Sign {
    Fine,
    /// A connection behind the attacks, or beside them, ended without an answer, or was refused at
    /// first: another process serves now.
    Replaced,
    Dead {
        by: String,
        is_sigpipe: bool,
    },
    /// It has taken a connection, and answered nothing.
    Silent,
    /// It refuses a connection now.
    Refused,
    /// It has ended with status 0, or nothing can be said any more.
    Ended(String),
    /// All connections that are allowed are made.
    NoMore,
}

/// What a polite client has learned of the server.
#[derive(Clone, Copy, Default)]
pub struct Usual {
    /// Of the answer; 0 if there was none.
    pub bytes: usize,
    /// From the request to the last byte.
    pub time: Duration,
    /// A client that says nothing keeps the others waiting.
    pub one_at_a_time: bool,
    /// It reads until the end of the request, before it answers.
    pub reads_to_end: bool,
    /// How many connections it takes at once, as far as is known.
    pub open: usize,
}

/// What has become of the attacks of one kind.
#[derive(Default)]
pub struct Count {
    pub vanished: u64,
    pub too_late: u64,
    pub no_answer: u64,
}

struct Session<'a> {
    options: &'a Options,
    report: &'a mut Report,
    gate: Gate,
    address: SockAddr,
    usual: Usual,
    spawned: Option<Spawned>,
    process: Option<Process>,
    /// Connections that say nothing, and end with the process that has accepted them.
    canaries: Vec<Held>,
    /// How many of them there should be. None if the server ends idle connections by itself.
    most_canaries: usize,
    /// How many connections the last attack made with what belongs to it, and how long that took.
    last: (u64, Duration),
    /// How many connections were made before the server was started.
    made_before: u64,
    ignores_other_programs: bool,
    /// The control has lost connections too: such losses prove nothing.
    is_noisy: bool,
    /// The control was refused too, for a while.
    was_refused: bool,
    begun: Instant,
    polite: u64,
    /// How often polite clients that were there together lost their connections.
    dropped: u64,
    attacks: u64,
    kinds: BTreeMap<String, Count>,
    deaths: u64,
}

#[derive(Default)]
pub struct Outcome {
    pub result: RunResult,
    pub attacks: u64,
    pub polite: u64,
    pub seconds: f64,
    pub kinds: BTreeMap<String, Count>,
    /// How many processes the server has forked, if each was watched.
    pub forks: Option<u64>,
    pub usual: Usual,
    pub deaths: u64,
    pub made: u64,
}

impl Outcome {
    /// Nothing was found out.
    pub fn undecided(why: String) -> Outcome {
        Outcome { result: RunResult::Undecided(why), ..Outcome::default() }
    }
}

/// Runs it all.
pub fn run(options: &Options, report: &mut Report) -> Result<Outcome> {
    let address = options.addresses[0].clone();
    let spawned = if options.spawn.is_empty() {
        None
    } else {
        if Held::open(&address, PATIENCE, Duration::ZERO).is_ok() {
            let target = &options.target;
            return Err(format!("--spawn: something listens on {target} already").into());
        }
        let program = options.spawn[0].to_string_lossy();
        let spawned = Spawned::start(&options.spawn);
        Some(spawned.map_err(|error| format!("--spawn {program}: {error}"))?)
    };
    if let Some(error) = spawned.as_ref().and_then(|spawned| spawned.untraced.as_ref()) {
        report.note(&format!("processes that the server forks are not watched: ptrace: {error}"));
    }
    let process = match options.pid {
        Some(pid) => Some(Process::watch(pid).map_err(|error| format!("--pid {pid}: {error}"))?),
        None => None,
    };
    let mut session = Session {
        options,
        gate: Gate::new(options.rate, options.total, report.log()),
        report,
        address,
        usual: Usual {
            time: Duration::from_millis(200),
            one_at_a_time: options.open == 1,
            open: options.open,
            ..Usual::default()
        },
        spawned,
        process,
        canaries: Vec::new(),
        most_canaries: 0,
        last: (0, Duration::ZERO),
        made_before: 0,
        ignores_other_programs: false,
        is_noisy: false,
        was_refused: false,
        begun: Instant::now(),
        polite: 0,
        dropped: 0,
        attacks: 0,
        kinds: BTreeMap::new(),
        deaths: 0,
    };
    let result = session.cycles();
    Ok(Outcome {
        result,
        attacks: session.attacks,
        polite: session.polite,
        seconds: session.seconds(),
        kinds: session.kinds,
        forks: session.spawned.filter(Spawned::is_traced).map(|it| it.forks),
        usual: session.usual,
        deaths: session.deaths,
        made: session.gate.made,
    })
}

impl Session<'_> {
    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn cycles(&mut self) -> RunResult {
        if let Err(why) = self.first() {
            return match self.death_sign(LATER / 8) {
                Some(Sign::Dead { by, is_sigpipe: true }) => self.killed_by_polite_clients(by),
                _ => RunResult::Undecided(why),
            };
        }
        self.report.usual(&self.usual);
        self.begun = Instant::now();
        let mut random = Random(self.options.seed);
        let mut last = RunResult::Survived;
        for number in 0.. {
            let (usual, made) = (self.usual, self.gate.made);
            for volley in volleys(self.options, number, &usual, &mut random) {
                if self.begun.elapsed() >= self.options.time {
                    return last;
                }
                for attack in &volley {
                    self.kinds.entry(attack.kind()).or_default();
                }
                for part in parts(&volley, self.options, self.canaries.len(), &self.usual) {
                    if self.begun.elapsed() >= self.options.time {
                        return last;
                    }
                    match self.part(&part) {
                        Ok(()) => {}
                        Err(RunResult::Killed(kill)) => {
                            self.deaths += 1;
                            if self.options.keep_going {
                                self.report.note(&format!("death {}: {}", self.deaths, kill.by));
                            }
                            last = RunResult::Killed(kill);
                            if !self.options.keep_going || !self.revive() {
                                return last;
                            }
                        }
                        Err(result) if self.deaths == 0 => return result,
                        Err(_) => return last,
                    }
                }
            }
            if self.gate.made == made {
                break; // It takes fewer connections at once than each of these needs.
            }
        }
        last
    }

    /// The first polite exchange, and what else is to be known before.
    fn first(&mut self) -> std::result::Result<(), String> {
        let by = Instant::now() + if self.spawned.is_some() { START } else { Duration::ZERO };
        loop {
            let why = match self.connect() {
                Ok(held) => match self.first_answer(held)? {
                    Answer::Dropped => {
                        "it ends the connection of a polite client and answers nothing: is this \
                         what it expects? (--request, --send)"
                            .into()
                    }
                    Answer::Whole { bytes, after } => {
                        self.usual = Usual { bytes: bytes.min(LONGEST), time: after, ..self.usual };
                        break;
                    }
                    Answer::Silent => {
                        self.report.note(
                            "it has not answered a polite client: is this what it expects? \
                             (--request, --send)",
                        );
                        break;
                    }
                },
                Err(NotOpen::Refused) => "nothing listens".into(),
                Err(NotOpen::Busy) => "it does not accept".into(),
                Err(NotOpen::Failed(error)) => error.to_string(),
            };
            // A server that is being started may not listen yet, or not for good.
            match self.next_death(Duration::from_millis(20)) {
                Some(death) if death.is_last => {
                    return Err(format!("the server {} before it answered", death.how));
                }
                _ => {}
            }
            if Instant::now() >= by {
                return Err(format!("{}: {why}", self.options.target));
            }
        }
        let held = 2 + canaries(self.options.open);
        if self.usual.bytes > 0 && self.options.open > 1 && self.gate.allows(held) {
            self.find_out_whether_one_at_a_time();
        }
        // A server that serves one client, and ends.
        let mut begun = Instant::now();
        let mut sign = self.polite_exchange(self.patience(1));
        if sign == Sign::Replaced {
            // If it has one place, that may not have been free yet.
            thread::sleep(LATER / 8);
            begun = Instant::now();
            sign = self.polite_exchange(self.patience(1));
        }
        match sign {
            Sign::Fine => {
                // The first may have been slower than all others.
                self.usual.time = self.usual.time.min(begun.elapsed());
                Ok(())
            }
            Sign::NoMore => Ok(()),
            Sign::Replaced => Err("it ends the connection of the second polite client".into()),
            Sign::Silent => Err("it answers the first polite client alone".into()),
            Sign::Refused => Err("after a polite client, it refuses connections".into()),
            Sign::Dead { by, .. } | Sign::Ended(by) => Err(format!("after a polite client, {by}")),
        }
    }

    fn first_answer(&mut self, mut held: Held) -> std::result::Result<Answer, String> {
        self.polite += 1;
        held.say(self.options.requests.first(), PATIENCE);
        let mut answer = held.answer(LONGEST, QUIET, PATIENCE / 3);
        self.usual.reads_to_end = answer == Answer::Silent;
        if self.usual.reads_to_end {
            held.end_request();
            answer = held.answer(LONGEST, QUIET, PATIENCE);
        }
        if self.usual.reads_to_end && answer == Answer::Dropped && held.refusal.is_none() {
            // It is slow, and gives up when its client has ended.
            self.usual.reads_to_end = false;
            if let Ok(again) = self.connect() {
                held = again;
                held.say(self.options.requests.first(), PATIENCE);
                answer = held.answer(LONGEST, QUIET, 2 * PATIENCE);
            }
        }
        if let Some(error) = held.refusal.take() {
            return Err(format!("TLS: {error}"));
        }
        if held.first_byte() == Some(0x15) {
            self.report.note("it seems to speak TLS, and not to understand: --request tls, --tls");
        }
        Ok(answer)
    }

    /// To the first of the addresses that answers.
    fn connect(&mut self) -> std::result::Result<Held, NotOpen> {
        let mut last = NotOpen::Refused;
        for address in &self.options.addresses {
            if !self.gate.pass(&"polite") {
                break;
            }
            match open(address, &self.usual) {
                Ok(held) => {
                    self.address = address.clone();
                    if let (true, Some(address)) = (self.options.is_remote, address.as_socket()) {
                        self.report.note(&format!("its address is {address}"));
                    }
                    return Ok(held);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn find_out_whether_one_at_a_time(&mut self) {
        self.gate.pass(&"held");
        let silent = open(&self.address, &self.usual);
        let patience = 2 * self.usual.time + 4 * MARGIN;
        self.gate.pass(&"polite");
        self.polite += 1;
        let mut beside = self.ask();
        let answer = match &mut beside {
            Ok(beside) => self.answer_of(beside, patience),
            Err(_) => Answer::Dropped,
        };
        self.usual.one_at_a_time = !matches!(answer, Answer::Whole { .. });
        drop(silent);
        match &mut beside {
            Ok(beside) if answer == Answer::Silent => {
                self.answer_of(beside, PATIENCE + patience);
            }
            // It has one place, or has served one client and ended.
            _ if answer == Answer::Dropped => self.usual.open = 1,
            _ => {}
        }
        drop(beside);
        let is_traced = self.spawned.as_ref().is_some_and(Spawned::is_traced);
        if !is_traced && !self.usual.one_at_a_time {
            self.most_canaries = canaries(self.options.open);
            self.renew_canaries();
            // It may have as many places as that.
            if self.most_canaries > 0 && self.polite_exchange(patience) != Sign::Fine {
                self.give_up_canaries();
            }
        }
    }

    fn give_up_canaries(&mut self) {
        self.canaries.clear();
        self.most_canaries = 0;
    }

    fn ask(&self) -> std::result::Result<Held, NotOpen> {
        let mut held = open(&self.address, &self.usual)?;
        say(&mut held, self.options, &self.usual);
        Ok(held)
    }

    fn answer_of(&self, held: &mut Held, patience: Duration) -> Answer {
        held.answer(self.usual.bytes.max(1), QUIET, patience)
    }

    /// Reads from all of them in turn: one that is not read may keep the server from the others.
    fn answers(
        &mut self,
        held: &mut [Held],
        patience: Duration,
    ) -> std::result::Result<Vec<Answer>, Sign> {
        let enough = self.usual.bytes.max(1);
        loop {
            // Not at once into an `Option`, which would stop at the first `None`.
            let answers: Vec<_> =
                held.iter_mut().map(|held| held.try_answer(enough, QUIET, patience)).collect();
            let answers: Option<Vec<_>> = answers.into_iter().collect();
            match (answers, self.death_sign(Duration::from_millis(1))) {
                (_, Some(sign)) => return Err(sign),
                (Some(answers), None) => return Ok(answers),
                (None, None) => {}
            }
        }
    }

    /// How long the last of so many clients may have to wait.
    fn patience(&self, clients: usize) -> Duration {
        let queue = if self.usual.one_at_a_time { clients as u32 } else { 1 };
        (self.usual.time + MARGIN) * (queue + 1) * 2 + Duration::from_millis(500)
    }

    /// Attacks at once, with their control before.
    fn part(&mut self, part: &[Attack]) -> std::result::Result<(), RunResult> {
        let clients = due(self.polite, self.attacks, part.len(), &self.usual, self.options);
        match self.control(clients, part.len()) {
            Sign::Fine | Sign::Silent | Sign::Refused => {}
            Sign::Replaced => self.is_noisy = true,
            Sign::Dead { by, is_sigpipe: true } => {
                return Err(self.killed_by_polite_clients(by));
            }
            Sign::Dead { by, .. } | Sign::Ended(by) => {
                return Err(RunResult::Undecided(format!("after polite clients alone, {by}")));
            }
            Sign::NoMore => return Err(RunResult::Survived),
        }
        if self.options.polite {
            return Ok(());
        }
        // The control may have found that it takes fewer at once.
        for part in parts(part, self.options, self.canaries.len(), &self.usual) {
            self.attack_and_judge(&part)?;
        }
        Ok(())
    }

    fn attack_and_judge(&mut self, part: &[Attack]) -> std::result::Result<(), RunResult> {
        match self.attack(part) {
            Sign::Fine | Sign::Silent | Sign::Refused => Ok(()),
            Sign::NoMore => Err(RunResult::Survived),
            Sign::Ended(why) => Err(RunResult::Undecided(why)),
            Sign::Dead { by, .. } if self.was_refused && self.spawned.is_none() => {
                Err(RunResult::Undecided(format!("{by}, but it has refused polite clients too")))
            }
            Sign::Dead { by, is_sigpipe: false } if self.polite_clients_end_it_too() => {
                Err(RunResult::Undecided(format!("{by}, as it does after polite clients alone")))
            }
            Sign::Dead { by, .. } => Err(self.killed(by, part, self.spawned.is_some())),
            Sign::Replaced if self.is_noisy => Ok(()),
            Sign::Replaced if self.stops_at_first() => Err(RunResult::Undecided(
                "connections beside an attack ended once: another process may serve now; \
                 --keep-going tries that again"
                    .into(),
            )),
            Sign::Replaced => self.confirm(part),
        }
    }

    /// A device is not killed again and again to be sure.
    fn stops_at_first(&self) -> bool {
        self.options.is_remote && !self.options.keep_going
    }

    /// Of a server that this program starts: whether as many connections as it had, all polite, end
    /// it too.
    fn polite_clients_end_it_too(&mut self) -> bool {
        let clients = (self.gate.made - self.made_before).min(200) as usize;
        self.spawned.is_some() && self.revive() && self.control(clients, 4) != Sign::Fine
    }

    /// Whether the sign is there after the attacks, again and again, and never after a control that
    /// has as many connections and lasts longer. Some controls have more, for a server that ends by
    /// itself after so many.
    fn confirm(&mut self, part: &[Attack]) -> std::result::Result<(), RunResult> {
        let mut seen = 1;
        for round in 1..9 {
            let is_over = self.begun.elapsed() > self.options.time + MOST_REPLAY;
            if is_over || !self.revive() {
                return Ok(());
            }
            let (connections, lasted) = self.last;
            self.canaries.clear();
            self.renew_canaries();
            let begun = Instant::now();
            let clients = connections as usize * (1 + round % 3);
            let dropped = self.dropped;
            let control = self.control(clients, part.len());
            thread::sleep((2 * lasted).saturating_sub(begun.elapsed()));
            if self.renew_canaries() {
                self.give_up_canaries();
                return Ok(());
            }
            if control != Sign::Fine || self.dropped > dropped {
                self.is_noisy = true;
                return Ok(());
            }
            self.canaries.clear();
            self.renew_canaries();
            match self.attack(part) {
                Sign::Replaced => seen += 1,
                Sign::Dead { by, .. } => return Err(self.killed(by, part, self.spawned.is_some())),
                _ => {}
            }
            if seen == 4 {
                let by = format!(
                    "{seen} times the connections beside the attacks ended, and never beside \
                     polite clients: its process dies, and another serves"
                );
                return Err(self.killed(by, part, true));
            }
        }
        Ok(())
    }

    fn killed_by_polite_clients(&self, by: String) -> RunResult {
        let after = self.seconds();
        RunResult::Killed(Kill { by, after, attacks: Vec::new(), replayed: None })
    }

    /// Finds what alone kills a server that serves again.
    fn killed(&mut self, by: String, part: &[Attack], serves: bool) -> RunResult {
        let after = self.seconds();
        let mut candidates = vec![part.to_vec(); 5];
        if part.len() > 1 {
            let mut alone = part.to_vec();
            alone.dedup();
            let alone: Vec<_> = alone.repeat(2).into_iter().map(|attack| vec![attack]).collect();
            candidates.splice(..0, alone);
        }
        let mut tries = 0;
        for attacks in candidates {
            let is_over = self.seconds() > after + MOST_REPLAY.as_secs_f64();
            if is_over || !serves || self.stops_at_first() || !self.revive() {
                break;
            }
            tries += 1;
            if matches!(self.attack(&attacks), Sign::Dead { .. } | Sign::Replaced) {
                let replayed = Some((1, tries));
                return RunResult::Killed(Kill { by, after, attacks, replayed });
            }
        }
        let replayed = (tries > 0).then_some((0, tries));
        RunResult::Killed(Kill { by, after, attacks: part.to_vec(), replayed })
    }

    /// Starts the server again if it has ended. False: it does not serve.
    fn revive(&mut self) -> bool {
        let mut by = LATER;
        if let Some(mut spawned) = self.spawned.take() {
            if !spawned.is_running() {
                let forks = spawned.forks;
                drop(spawned);
                match Spawned::start(&self.options.spawn) {
                    Ok(again) => spawned = again,
                    Err(_) => return false,
                }
                spawned.forks += forks;
                self.made_before = self.gate.made;
                by = START;
            }
            self.spawned = Some(spawned);
        } else if self.process.as_ref().is_some_and(Process::is_gone) {
            return false;
        }
        let by = Instant::now() + by;
        while Instant::now() < by {
            match self.polite_exchange(self.patience(1)) {
                Sign::Fine => return true,
                Sign::NoMore => return false,
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
        false
    }

    /// So many polite clients, as many at once as there are attacks.
    fn control(&mut self, clients: usize, at_once: usize) -> Sign {
        let mut left = clients;
        while left > 0 {
            let most = self.usual.open.saturating_sub(self.canaries.len()).max(1);
            let together = left.min(at_once.max(4)).min(most);
            let patience = self.patience(together);
            let mut held = Vec::new();
            let mut open = self.usual.open;
            for number in 0..together {
                if !self.gate.pass(&"polite") {
                    return Sign::NoMore;
                }
                self.polite += 1;
                let begun = Instant::now();
                match self.ask() {
                    Ok(client) => held.push(client),
                    Err(NotOpen::Refused) => {
                        self.was_refused = true;
                        return self.refused();
                    }
                    Err(NotOpen::Busy | NotOpen::Failed(_)) => {}
                }
                // The queue was full: Linux tries again after a second.
                if begun.elapsed() > LATER / 4 {
                    open = open.min(number).max(1);
                }
            }
            let dropped = match self.answers(&mut held, patience) {
                Ok(answers) => answers.contains(&Answer::Dropped),
                Err(sign) => return sign,
            };
            held.iter_mut().for_each(Held::end);
            drop(held);
            if self.renew_canaries() {
                // By itself it ends connections that say nothing.
                self.give_up_canaries();
            }
            let occupied = together + self.canaries.len();
            if dropped && occupied == 1 {
                return match self.polite_exchange(patience) {
                    Sign::Refused => self.refused(),
                    _ => Sign::Replaced,
                };
            }
            if dropped {
                self.dropped += 1;
                // It has fewer places than that.
                open = occupied / 2;
            }
            if open < self.usual.open {
                self.usual.open = open;
                if open < 4 {
                    self.give_up_canaries();
                }
            }
            if !dropped {
                left -= together;
            }
        }
        Sign::Fine
    }

    /// One polite client.
    fn polite_exchange(&mut self, patience: Duration) -> Sign {
        if !self.gate.pass(&"polite") {
            return Sign::NoMore;
        }
        self.polite += 1;
        match self.ask() {
            Ok(mut held) => match self.answer_of(&mut held, patience) {
                Answer::Whole { .. } => Sign::Fine,
                Answer::Silent if self.usual.bytes == 0 => Sign::Fine,
                Answer::Silent => Sign::Silent,
                Answer::Dropped => Sign::Replaced,
            },
            Err(NotOpen::Refused) => Sign::Refused,
            Err(NotOpen::Busy) if !self.options.is_remote => Sign::Silent,
            Err(NotOpen::Busy) => Sign::Ended("it cannot be reached".into()),
            Err(NotOpen::Failed(error)) => Sign::Ended(format!("it cannot be reached: {error}")),
        }
    }

    /// All of these at once, and what they have done.
    fn attack(&mut self, attacks: &[Attack]) -> Sign {
        let (begun, made) = (Instant::now(), self.gate.made);
        let sign = self.attack_and_look(attacks);
        self.last = (self.gate.made - made, begun.elapsed());
        sign
    }

    fn attack_and_look(&mut self, attacks: &[Attack]) -> Sign {
        let is_queued = attacks.iter().any(|attack| attack.queued);
        // The canaries, who occupies it, the follower, and those that look for a death.
        if !self.gate.allows(attacks.len() + 8) {
            return Sign::NoMore;
        }
        let mut occupier: Option<Held> = None;
        if is_queued {
            self.gate.pass(&"held");
            occupier = open(&self.address, &self.usual).ok();
        }
        let patience = self.patience(attacks.len());
        let volley = Volley {
            address: &self.address,
            requests: &self.options.requests,
            attacks,
            patience: patience.min(PATIENCE),
            whole: self.usual.bytes.max(1),
        };
        let (mut beside, mut follower_refused) = (Vec::new(), false);
        let fates = volley.fire(&mut self.gate, |gate| {
            if self.usual.open > 1 && gate.pass(&"follower") {
                match open(&self.address, &self.usual) {
                    Ok(follower) => beside.push(follower),
                    Err(error) => follower_refused = matches!(error, NotOpen::Refused),
                }
            }
            beside.extend(occupier);
            for held in &mut beside {
                say(held, self.options, &self.usual);
            }
        });
        let refused = follower_refused || fates.contains(&Fate::Refused);
        for (attack, fate) in attacks.iter().zip(fates) {
            let count = self.kinds.entry(attack.kind()).or_default();
            match fate {
                Fate::Vanished => {
                    count.vanished += 1;
                    self.attacks += 1;
                }
                Fate::TooLate => count.too_late += 1,
                Fate::NoAnswer => count.no_answer += 1,
                Fate::Refused | Fate::NotMade => {}
            }
        }
        self.report.progress(self.attacks, self.begun.elapsed(), self.options.time);
        self.look(beside, refused, patience)
    }

    /// What has become of the server since the last has vanished.
    fn look(&mut self, mut beside: Vec<Held>, refused: bool, patience: Duration) -> Sign {
        // A server that takes one client at a time is done with the attacks when it answers these.
        let answers = match self.answers(&mut beside, patience) {
            Ok(answers) => answers,
            Err(sign) => return sign,
        };
        drop(beside);
        self.polite +=
            answers.iter().filter(|it| matches!(it, Answer::Whole { .. })).count() as u64;
        // Others may still be thinking about an answer.
        let is_done = self.usual.one_at_a_time && !answers.is_empty();
        let think = if is_done { Duration::ZERO } else { self.usual.time };
        if let Some(sign) = self.death_sign(think + MARGIN) {
            return sign;
        }
        let replaced = self.renew_canaries() || answers.contains(&Answer::Dropped);
        let is_traced = self.spawned.as_ref().is_some_and(Spawned::is_traced);
        if is_traced && !refused && !replaced {
            return Sign::Fine;
        }
        let sign = match refused {
            true => self.refused(),
            false => match self.polite_exchange(patience) {
                Sign::Fine if replaced => Sign::Replaced,
                Sign::Refused => self.refused(),
                Sign::Silent => self.silent(patience),
                Sign::NoMore if replaced => no_more(),
                sign => sign,
            },
        };
        match sign {
            // Each death is seen: it has ended a connection by itself.
            Sign::Replaced if is_traced => Sign::Fine,
            sign => sign,
        }
    }

    /// It answers nothing: for how long?
    fn silent(&mut self, patience: Duration) -> Sign {
        self.canaries.clear();
        for _ in 0..2 {
            thread::sleep(LATER / 2);
            match self.polite_exchange(2 * patience) {
                Sign::Silent => {}
                Sign::Refused => return self.refused(),
                Sign::NoMore => return no_more(),
                sign => return sign,
            }
        }
        let by =
            "it takes connections and has answered none since: all that served are dead, or hang";
        Sign::Dead { by: by.into(), is_sigpipe: false }
    }

    /// It refuses: for how long?
    fn refused(&mut self) -> Sign {
        // A process that is about to end may wait for them.
        self.canaries.clear();
        if let Some(sign) = self.death_sign(Duration::from_millis(200)) {
            return sign;
        }
        let mut pause = LATER / 8;
        for _ in 0..3 {
            thread::sleep(pause);
            pause *= 2;
            match self.polite_exchange(self.patience(1)) {
                Sign::Refused => {}
                Sign::NoMore => return no_more(),
                _ => return Sign::Replaced,
            }
        }
        if let Some(sign) = self.death_sign(LATER / 8) {
            return sign;
        }
        if self.spawned.is_some() || self.process.is_some() {
            return Sign::Ended("it refuses connections, and its process lives".into());
        }
        let by = "it refuses connections, now and 2 s later (--spawn would see why)".into();
        Sign::Dead { by, is_sigpipe: false }
    }

    /// Whether one has ended. Those that are missing are opened.
    fn renew_canaries(&mut self) -> bool {
        let count = self.canaries.len();
        self.canaries.retain_mut(|canary| !canary.is_over());
        let lost = self.canaries.len() < count;
        for _ in self.canaries.len()..self.most_canaries {
            if self.gate.pass(&"held") {
                self.canaries.extend(open(&self.address, &self.usual).ok());
            }
        }
        lost
    }

    /// Waits so long for a death that is seen by other means than by connections.
    fn death_sign(&mut self, within: Duration) -> Option<Sign> {
        let death = self.next_death(within)?;
        let who = match (death.is_first, death.is_other_program) {
            (true, _) => format!("process {}", death.pid),
            (false, false) => format!("process {}, which the server forked,", death.pid),
            (false, true) => format!("process {}, a program that the server started,", death.pid),
        };
        let by = format!("{who} {}", death.how);
        Some(match death.how {
            How::Status(0) => Sign::Ended(by),
            how => Sign::Dead { by, is_sigpipe: how == How::Signal(libc::SIGPIPE) },
        })
    }

    /// The next death that means something.
    fn next_death(&mut self, within: Duration) -> Option<Death> {
        let by = Instant::now() + within;
        if let Some(spawned) = &mut self.spawned {
            loop {
                let death = spawned.death(by)?;
                // A worker's other ends are its own affair, and so is that of the first process of
                // a server that goes on in another.
                let is_failure = death.is_first && death.how != How::Status(0);
                let is_crash = death.how.is_crash()
                    && !(death.is_other_program && self.ignores_other_programs);
                if !death.is_last && !is_failure && !is_crash {
                    continue;
                }
                // As `head` kills what writes to it.
                if death.is_other_program && self.attacks == 0 && !death.is_last {
                    self.ignores_other_programs = true;
                    let how = death.how;
                    self.report.note(&format!(
                        "a program that the server started {how} before any attack: such ends do \
                         not count"
                    ));
                    continue;
                }
                return Some(death);
            }
        }
        loop {
            if let Some(gone) = self.process.as_ref().filter(|process| process.is_gone()) {
                return Some(Death {
                    pid: gone.pid,
                    is_first: true,
                    is_last: true,
                    is_other_program: false,
                    how: How::Vanished,
                });
            }
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            thread::sleep(left.min(Duration::from_millis(5)));
        }
    }
}

/// A server that begins to think when its client has ended may take its usual time.
fn open(address: &SockAddr, usual: &Usual) -> std::result::Result<Held, NotOpen> {
    Held::open(address, PATIENCE, 2 * usual.time.min(QUIET) + MARGIN)
}

fn no_more() -> Sign {
    Sign::Ended("it ended a connection, and no more are allowed (--total)".into())
}

/// The request of a polite client.
fn say(held: &mut Held, options: &Options, usual: &Usual) {
    held.say(options.requests.first(), PATIENCE);
    if usual.reads_to_end {
        held.end_request();
    }
}
