//! One run: polite clients as the control, attacks, and how the server reacts to both.

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

/// The longest time for a connect, and for a first answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The extra time that a server may need beyond its usual time.
const MARGIN: Duration = Duration::from_millis(60);
/// An answer that is shorter than the first one ends when nothing has come for this long.
const QUIET: Duration = Duration::from_secs(1);
/// A server that refuses connections now, and also after this time, is dead.
const LATER: Duration = Duration::from_secs(2);
/// The longest time from the start of a server until it listens.
const START: Duration = Duration::from_secs(10);
/// The bytes of an answer after which the client stops waiting.
const LONGEST: usize = 16 << 20;
/// How long the attacks that killed, or may have killed, are tried again.
const MOST_REPLAY: Duration = Duration::from_secs(15);

/// The result of a run.
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
    /// The attacks at that time. Empty if polite clients killed the server.
    pub attacks: Vec<Attack>,
    /// How often these attacks killed again, and the number of tries. `None`: not tried again, for
    /// example because the server is gone.
    pub replayed: Option<(u32, u32)>,
}

/// What attacks or the control have shown about the server.
#[derive(PartialEq)]
enum Sign {
    Fine,
    /// A connection during or after the attacks ended without an answer, or was refused at first.
    /// Another process may serve now.
    Replaced,
    Dead {
        by: String,
        is_sigpipe: bool,
    },
    /// The server accepted a connection, and sent no answer.
    Silent,
    /// The server refuses connections now.
    Refused,
    /// The server ended with status 0, or the run can show nothing more.
    Ended(String),
    /// No more connections are allowed.
    NoMore,
}

/// What polite clients have learned about the server.
#[derive(Clone, Copy, Default)]
pub struct Usual {
    /// The length of the answer. 0: no answer.
    pub bytes: usize,
    /// The time from the request to the last byte.
    pub time: Duration,
    /// A client that sends nothing makes the others wait.
    pub one_at_a_time: bool,
    /// The server reads until the client's FIN before it answers.
    pub reads_to_end: bool,
    /// How many connections may be open at once, by `--open` and by what the server takes.
    pub open: usize,
}

/// How the attacks of one kind ended.
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
    /// Idle connections. Their end shows that the process that accepted them has ended.
    canaries: Vec<Held>,
    /// How many of them there should be. 0 if the server ends idle connections on its own.
    most_canaries: usize,
    /// The connections of the last attack, with those that check its effect, and its duration.
    last: (u64, Duration),
    /// How many connections were made before the last start of the server.
    made_before: u64,
    ignores_other_programs: bool,
    /// The control has lost connections too, so lost connections prove nothing.
    is_noisy: bool,
    /// The server has refused the control too.
    was_refused: bool,
    begun: Instant,
    polite: u64,
    /// How often polite clients lost connections while several were connected.
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
    /// How many processes the server has forked. `None` if they were not watched.
    pub forks: Option<u64>,
    pub usual: Usual,
    pub deaths: u64,
    pub made: u64,
}

impl Outcome {
    /// The run proves nothing.
    pub fn undecided(why: String) -> Outcome {
        Outcome { result: RunResult::Undecided(why), ..Outcome::default() }
    }
}

/// Makes a whole run.
pub fn run(options: &Options, report: &mut Report) -> Result<Outcome> {
    let address = options.addresses[0].clone();
    let spawned = if options.spawn.is_empty() {
        None
    } else {
        if Held::open(&address, PATIENCE, Duration::ZERO).is_ok() {
            let target = &options.target;
            return Err(format!("--spawn: another server already listens on {target}").into());
        }
        let program = options.spawn[0].to_string_lossy();
        let spawned = Spawned::start(&options.spawn);
        Some(spawned.map_err(|error| format!("--spawn {program}: {error}"))?)
    };
    if let Some(error) = spawned.as_ref().and_then(|spawned| spawned.untraced.as_ref()) {
        report.note(&format!("cannot watch the processes that the server forks: ptrace: {error}"));
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
                break; // Each volley needs more connections at once than the server takes.
            }
        }
        last
    }

    /// Makes the first polite exchanges, and measures what the attacks depend on.
    fn first(&mut self) -> std::result::Result<(), String> {
        let by = Instant::now() + if self.spawned.is_some() { START } else { Duration::ZERO };
        loop {
            let why = match self.connect() {
                Ok(held) => match self.first_answer(held)? {
                    Answer::Dropped => {
                        "the server ends the connection of a polite client without an answer: is \
                         this the right request? (--request, --send)"
                            .into()
                    }
                    Answer::Whole { bytes, after } => {
                        self.usual = Usual { bytes: bytes.min(LONGEST), time: after, ..self.usual };
                        break;
                    }
                    Answer::Silent => {
                        self.report.note(
                            "the server has not answered a polite client: is this the right \
                             request? (--request, --send)",
                        );
                        break;
                    }
                },
                Err(NotOpen::Refused) => "nothing listens".into(),
                Err(NotOpen::Busy) => "the server does not accept the connection".into(),
                Err(NotOpen::Failed(error)) => error.to_string(),
            };
            // A server that has just started may not listen yet, or may soon end.
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
        // The server may serve one client and end.
        let mut begun = Instant::now();
        let mut sign = self.polite_exchange(self.patience(1));
        if sign == Sign::Replaced {
            // A server with room for one client may still have been busy with the last one.
            thread::sleep(LATER / 8);
            begun = Instant::now();
            sign = self.polite_exchange(self.patience(1));
        }
        match sign {
            Sign::Fine => {
                // The first answer may have been slower than the others.
                self.usual.time = self.usual.time.min(begun.elapsed());
                Ok(())
            }
            Sign::NoMore => Ok(()),
            Sign::Replaced => Err("the server drops the second polite client".into()),
            Sign::Silent => Err("the server answers only the first polite client".into()),
            Sign::Refused => Err("after a polite client, the server refuses connections".into()),
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
            // The server is slow, and gives up after the client's FIN.
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
            self.report.note("the server seems to expect TLS: try --request tls or --tls");
        }
        Ok(answer)
    }

    /// Connects to the first address that accepts.
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
                        self.report.note(&format!("the server's address is {address}"));
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
            // The server has room for one client, or has served one client and ended.
            _ if answer == Answer::Dropped => self.usual.open = 1,
            _ => {}
        }
        drop(beside);
        let is_traced = self.spawned.as_ref().is_some_and(Spawned::is_traced);
        if !is_traced && !self.usual.one_at_a_time {
            self.most_canaries = canaries(self.options.open);
            self.renew_canaries();
            // The server may have room for no more clients than that.
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

    /// Reads from all connections in turn: an unread one may block the server.
    fn answers(
        &mut self,
        held: &mut [Held],
        patience: Duration,
    ) -> std::result::Result<Vec<Answer>, Sign> {
        let enough = self.usual.bytes.max(1);
        loop {
            // Into a `Vec` first: a collect into an `Option` would stop at the first `None`.
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

    /// The longest wait of the last of this many clients.
    fn patience(&self, clients: usize) -> Duration {
        let queue = if self.usual.one_at_a_time { clients as u32 } else { 1 };
        (self.usual.time + MARGIN) * (queue + 1) * 2 + Duration::from_millis(500)
    }

    /// Makes the control, and then these attacks at once.
    fn part(&mut self, part: &[Attack]) -> std::result::Result<(), RunResult> {
        let clients = due(self.polite, self.attacks, part.len(), &self.usual, self.options);
        match self.control(clients, part.len()) {
            Sign::Fine | Sign::Silent | Sign::Refused => {}
            Sign::Replaced => self.is_noisy = true,
            Sign::Dead { by, is_sigpipe: true } => {
                return Err(self.killed_by_polite_clients(by));
            }
            Sign::Dead { by, .. } | Sign::Ended(by) => {
                return Err(RunResult::Undecided(format!("after only polite clients, {by}")));
            }
            Sign::NoMore => return Err(RunResult::Survived),
        }
        if self.options.polite {
            return Ok(());
        }
        // The control may have found that the server takes fewer connections at once.
        for part in parts(part, self.options, self.canaries.len(), &self.usual) {
            self.attack_and_assess(&part)?;
        }
        Ok(())
    }

    fn attack_and_assess(&mut self, part: &[Attack]) -> std::result::Result<(), RunResult> {
        match self.attack(part) {
            Sign::Fine | Sign::Silent | Sign::Refused => Ok(()),
            Sign::NoMore => Err(RunResult::Survived),
            Sign::Ended(why) => Err(RunResult::Undecided(why)),
            Sign::Dead { by, .. } if self.was_refused && self.spawned.is_none() => Err(
                RunResult::Undecided(format!("{by}, but the server refused polite clients too")),
            ),
            Sign::Dead { by, is_sigpipe: false } if self.polite_clients_end_it_too() => {
                Err(RunResult::Undecided(format!(
                    "{by}, and the same happens after only polite clients"
                )))
            }
            Sign::Dead { by, .. } => Err(self.killed(by, part, self.spawned.is_some())),
            Sign::Replaced if self.is_noisy => Ok(()),
            Sign::Replaced if self.stops_at_first() => Err(RunResult::Undecided(
                "connections during an attack ended once: another process may serve now; \
                 --keep-going tries that again"
                    .into(),
            )),
            Sign::Replaced => self.confirm(part),
        }
    }

    /// Whether one death is enough: a device is not killed again to be sure.
    fn stops_at_first(&self) -> bool {
        self.options.is_remote && !self.options.keep_going
    }

    /// Whether the same number of polite connections also ends the server. Only a server that this
    /// program starts can be tried.
    fn polite_clients_end_it_too(&mut self) -> bool {
        let clients = (self.gate.made - self.made_before).min(200) as usize;
        self.spawned.is_some() && self.revive() && self.control(clients, 4) != Sign::Fine
    }

    /// Checks that `Sign::Replaced` follows the attacks several times, and never the control. Each
    /// control has at least as many connections, and lasts longer. Some have more, since a server
    /// may end after a number of clients.
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
                    "{seen} times, connections during the attacks ended, and never during polite \
                     clients: a process of the server dies, and another takes over"
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

    /// Finds the attack that kills alone, if the server serves again.
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

    /// Starts the server again if it has ended. False: the server does not serve.
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

    /// Makes polite connections, about as many at once as there are attacks.
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
                // The queue was full: Linux repeats the connect after a second.
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
                // The server ends idle connections on its own.
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
                // The server has room for fewer clients than that.
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
            Err(NotOpen::Busy) => Sign::Ended("the server cannot be reached".into()),
            Err(NotOpen::Failed(error)) => {
                Sign::Ended(format!("the server cannot be reached: {error}"))
            }
        }
    }

    /// Makes these attacks at once, and returns their effect.
    fn attack(&mut self, attacks: &[Attack]) -> Sign {
        let (begun, made) = (Instant::now(), self.gate.made);
        let sign = self.attack_and_look(attacks);
        self.last = (self.gate.made - made, begun.elapsed());
        sign
    }

    fn attack_and_look(&mut self, attacks: &[Attack]) -> Sign {
        let is_queued = attacks.iter().any(|attack| attack.queued);
        // 8 for the idle connections, the occupier, the follower, and the checks for a death.
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

    /// Checks the server after the last attack has vanished.
    fn look(&mut self, mut beside: Vec<Held>, refused: bool, patience: Duration) -> Sign {
        // If the server takes one client at a time, it answers these after the attacks.
        let answers = match self.answers(&mut beside, patience) {
            Ok(answers) => answers,
            Err(sign) => return sign,
        };
        drop(beside);
        self.polite +=
            answers.iter().filter(|it| matches!(it, Answer::Whole { .. })).count() as u64;
        // Another server may still work on an answer to an attack.
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
            // All processes are watched, and none has died: the server ended a connection.
            Sign::Replaced if is_traced => Sign::Fine,
            sign => sign,
        }
    }

    /// Checks whether a server that did not answer stays silent.
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
            "the server accepts connections, but no longer answers: its processes are dead or hang";
        Sign::Dead { by: by.into(), is_sigpipe: false }
    }

    /// Checks whether a server that refused a connection stays down.
    fn refused(&mut self) -> Sign {
        // A process that is about to end may wait for the end of the idle connections.
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
            return Sign::Ended("the server refuses connections, but its process lives".into());
        }
        let by = "the server refuses connections, now and 2 s later (--spawn reports why)".into();
        Sign::Dead { by, is_sigpipe: false }
    }

    /// Opens the missing idle connections. True: one has ended.
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

    /// Waits up to `within` for the death of a process that is watched.
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

    /// The next death that shows something about the server.
    fn next_death(&mut self, within: Duration) -> Option<Death> {
        let by = Instant::now() + within;
        if let Some(spawned) = &mut self.spawned {
            loop {
                let death = spawned.death(by)?;
                // A worker may end in other ways. The first process may end with status 0, and the
                // server continues in another.
                let is_failure = death.is_first && death.how != How::Status(0);
                let is_crash = death.how.is_crash()
                    && !(death.is_other_program && self.ignores_other_programs);
                if !death.is_last && !is_failure && !is_crash {
                    continue;
                }
                // For example, the end of `head` kills the program that writes to it.
                if death.is_other_program && self.attacks == 0 && !death.is_last {
                    self.ignores_other_programs = true;
                    let how = death.how;
                    self.report.note(&format!(
                        "a program that the server started {how} before any attack: such deaths \
                         do not count"
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

/// Opens a connection whose close waits for the server's usual time: the server may begin to work
/// only after the client's FIN.
fn open(address: &SockAddr, usual: &Usual) -> std::result::Result<Held, NotOpen> {
    Held::open(address, PATIENCE, 2 * usual.time.min(QUIET) + MARGIN)
}

fn no_more() -> Sign {
    Sign::Ended("the server ended a connection, and no more are allowed (--total)".into())
}

/// Sends the request of a polite client.
fn say(held: &mut Held, options: &Options, usual: &Usual) {
    held.say(options.requests.first(), PATIENCE);
    if usual.reads_to_end {
        held.end_request();
    }
}
