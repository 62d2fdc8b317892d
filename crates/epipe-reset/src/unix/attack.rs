//! The attacks: what a client sends, and when and how it vanishes.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// One connection that vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attack {
    pub when: When,
    pub asks: Asks,
    pub ends: Ends,
    pub stage: Stage,
    /// Waits in the listener's queue, behind a connection that occupies the server. That connection
    /// sends its request when every attack has begun to connect.
    pub queued: bool,
}

/// When the client vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Together with the request. On Linux the request and the FIN share a segment.
    Breath,
    /// Like `Breath`, but this long after the connect: the server has accepted by then.
    Pause(Duration),
    /// This long after the request.
    Late(Duration),
    /// This long after the first byte of the answer. The receive buffer is small.
    FirstByte(Duration),
    /// When the server takes no more requests, because the client has not read the answers.
    Full,
}

/// What the client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Once,
    /// All requests. A single request is sent twice.
    Pipelined,
    /// Also the first byte of the next request.
    OneByteMore,
}

/// How the client vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A FIN, then a reset: the server's first write raises SIGPIPE.
    FinReset,
    /// Only a reset: the first write reports ECONNRESET, and the second raises SIGPIPE.
    Reset,
}

/// How much of the TLS handshake comes before the request. Without `--tls` this is `Done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing: the ClientHello is the request.
    Hello,
    /// The server's part. The client sends its own part together with the request.
    Within,
    /// The whole handshake.
    Done,
}

impl Attack {
    pub const BREATH: Attack = Attack {
        when: When::Breath,
        asks: Asks::Once,
        ends: Ends::FinReset,
        stage: Stage::Done,
        queued: false,
    };

    /// The name under which the result counts it.
    pub fn kind(&self) -> String {
        let mut kind = match self.when {
            When::Breath => "breath",
            When::Pause(_) => "pause",
            When::Late(_) => "late",
            When::FirstByte(_) => "first-byte",
            When::Full => "full",
        }
        .to_owned();
        kind.push_str(match self.asks {
            Asks::Once => "",
            Asks::Pipelined => "+pipelined",
            Asks::OneByteMore => "+byte",
        });
        if self.ends == Ends::Reset {
            kind.push_str("+no-fin");
        }
        kind.push_str(match self.stage {
            Stage::Hello => "+hello",
            Stage::Within => "+handshake",
            Stage::Done => "",
        });
        if self.queued {
            kind.push_str("+queued");
        }
        kind
    }

    /// Reads what `Display` writes, such as `late:3ms+pipelined`.
    pub fn parse(text: &str) -> Result<Attack, String> {
        let mut words = text.split('+');
        let first = words.next().unwrap_or("");
        let (name, delay) = match first.split_once(':') {
            Some((name, delay)) => (name, Some(milliseconds(delay)?)),
            None => (first, None),
        };
        let when = match (name, delay) {
            ("breath", None) => When::Breath,
            ("full", None) => When::Full,
            ("pause", Some(delay)) => When::Pause(delay),
            ("late", Some(delay)) => When::Late(delay),
            ("first-byte", delay) => When::FirstByte(delay.unwrap_or_default()),
            ("pause" | "late", None) => {
                return Err(format!("{name} needs a delay, as in {name}:3ms"));
            }
            ("breath" | "full", Some(_)) => return Err(format!("{name} takes no delay")),
            _ => {
                return Err(format!(
                    "{name:?} is not an attack; the attacks are breath, pause:MS, late:MS, \
                     first-byte[:MS], full"
                ));
            }
        };
        let mut attack = Attack { when, ..Attack::BREATH };
        for word in words {
            match word {
                "pipelined" => attack.asks = Asks::Pipelined,
                "byte" => attack.asks = Asks::OneByteMore,
                "no-fin" => attack.ends = Ends::Reset,
                "hello" => attack.stage = Stage::Hello,
                "handshake" => attack.stage = Stage::Within,
                "queued" => attack.queued = true,
                _ => {
                    return Err(format!(
                        "+{word} is unknown; an attack can have +pipelined, +byte, +no-fin, \
                         +hello, +handshake, +queued"
                    ));
                }
            }
        }
        if attack.when == When::Full && attack.stage == Stage::Hello {
            return Err(
                "full repeats the request, but a connection has only one ClientHello".into()
            );
        }
        Ok(attack)
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        let (name, rest) = match kind.find('+') {
            Some(at) => kind.split_at(at),
            None => (&*kind, ""),
        };
        match self.when {
            When::Pause(delay) | When::Late(delay) | When::FirstByte(delay) => {
                write!(f, "{name}:{}ms{rest}", delay.as_micros() as f64 / 1000.0)
            }
            When::Breath | When::Full => f.write_str(&kind),
        }
    }
}

/// Reads a delay such as `3ms`, `0.5ms` or `3`.
fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix("ms").unwrap_or(text).parse::<f64>();
    match number {
        Ok(number) if (0.0..=60_000.0).contains(&number) => {
            Ok(Duration::from_micros((number * 1000.0).round() as u64))
        }
        _ => Err(format!("{text:?} is not a delay of at most 60000 ms, as in 0.5ms")),
    }
}

/// Random numbers from a seed, by SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// At least 0, less than 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

/// The delays of the first cycle, in microseconds. They are denser below 50 ms, where most servers
/// answer.
const GRID: [u64; 24] = [
    100, 200, 500, 1_000, 1_500, 2_000, 3_000, 4_500, 6_000, 8_000, 11_000, 15_000, 20_000, 26_000,
    34_000, 45_000, 65_000, 100_000, 150_000, 250_000, 450_000, 800_000, 1_300_000, 2_000_000,
];

/// The volleys of one cycle. A volley is a list of attacks that are made at once. The first cycle
/// goes from the volleys that kill most to those that kill least. Later cycles have random order
/// and random delays.
pub fn cycle(number: u64, is_slow: bool, tls: bool, random: &mut Random) -> Vec<Vec<Attack>> {
    let breath = Attack::BREATH;
    let pipelined = Attack { asks: Asks::Pipelined, ..breath };
    let byte = Attack { asks: Asks::OneByteMore, ..breath };
    let no_fin = Attack { ends: Ends::Reset, ..breath };
    let within = Attack { stage: Stage::Within, ..breath };
    // These may vanish before the server accepts, so no handshake is possible.
    let first = Attack { stage: if tls { Stage::Hello } else { Stage::Done }, ..breath };
    let queued = Attack { queued: true, ..first };
    let delays = grid(number, random);
    let each = |attack: Attack| -> Vec<Attack> {
        delays.iter().map(|&delay| Attack { when: When::Late(delay), ..attack }).collect()
    };
    let mut some = |milliseconds: [f64; 8], when: fn(Duration) -> When| {
        milliseconds.map(|most| {
            let part = if number == 0 { 1.0 } else { random.unit() * 2.0 };
            let delay = Duration::from_micros((most * part * 1000.0) as u64);
            Attack { when: when(delay), ..breath }
        })
    };
    let pauses = some([0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0], When::Pause)
        .map(|pause| Attack { stage: first.stage, ..pause });
    let first_bytes = some([0.0, 0.0, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0], When::FirstByte);
    let mut volleys = vec![
        vec![breath],
        vec![breath; 8],
        pauses.to_vec(),
        vec![pipelined, byte, pipelined, byte],
        each(breath),
        first_bytes.to_vec(),
        vec![queued; 8],
        each(pipelined),
        vec![no_fin; 4],
        each(no_fin),
    ];
    if is_slow && number == 0 {
        // On a slow server, more `breath` and `pause` attacks add little to the first one.
        volleys[1..].rotate_left(2);
    }
    if tls {
        volleys.splice(0..0, [vec![first], vec![first; 8], vec![within; 4], each(first)]);
    }
    if number > 0 {
        random.shuffle(&mut volleys);
    }
    volleys.push(vec![Attack { when: When::Full, ..breath }]);
    volleys
}

/// The kinds of attack in a cycle.
pub fn kinds(tls: bool) -> BTreeSet<String> {
    cycle(0, false, tls, &mut Random(0)).concat().iter().map(Attack::kind).collect()
}

/// The delays of a volley. They ascend, for a server that takes one client at a time. When it takes
/// a client, those with shorter delays have vanished, and the next is still connected.
fn grid(number: u64, random: &mut Random) -> Vec<Duration> {
    if number == 0 {
        return GRID.map(Duration::from_micros).to_vec();
    }
    let mut delays: Vec<_> = GRID
        .iter()
        .map(|&most| Duration::from_micros((most as f64 * (0.6 + 0.8 * random.unit())) as u64))
        .collect();
    delays.sort();
    delays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_that_is_printed_can_be_read() {
        let mut random = Random(7);
        for number in 0..20 {
            for attack in cycle(number, number % 2 == 1, number % 3 == 1, &mut random).concat() {
                assert_eq!(Attack::parse(&attack.to_string()), Ok(attack));
            }
        }
        for wrong in ["", "breath:3ms", "full:1", "late", "pause", "late:-1", "late:x", "breath+x"]
        {
            assert!(Attack::parse(wrong).is_err(), "{wrong}");
        }
    }
}
