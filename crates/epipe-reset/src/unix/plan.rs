//! Plans which connections are made at the same time, and in which order.

use std::time::Duration;

use super::args::Options;
use super::attack::{self, Attack, Random, When};
use super::session::Usual;

/// The number of idle connections. Their end shows from outside that the server has restarted.
pub fn canaries(open: usize) -> usize {
    match open {
        0..4 => 0,
        4..8 => 1,
        _ => 2,
    }
}

/// The number of polite clients that come before the `next` attacks. In all there are at least as
/// many as attacks. More come at first, since a server may end after a few clients.
pub fn due(polite: u64, attacks: u64, next: usize, usual: &Usual, options: &Options) -> usize {
    if options.polite {
        return next;
    }
    let at_first = match options.rate {
        None if usual.time < Duration::from_millis(200) => 12,
        _ => 3,
    };
    (attacks + next as u64).max(at_first).saturating_sub(polite) as usize
}

/// Splits a volley into parts whose attacks are made at once. Empty if the server takes too few
/// connections for this volley.
pub fn parts(
    volley: &[Attack],
    options: &Options,
    canaries: usize,
    usual: &Usual,
) -> Vec<Vec<Attack>> {
    let is_queued = volley.iter().any(|attack| attack.queued);
    // The follower, the idle connections, and the one that occupies the server.
    let others = 1 + canaries + usize::from(is_queued);
    if is_queued && usual.open <= others {
        return Vec::new();
    }
    let mut most = usual.open.saturating_sub(others).max(1);
    let mut volley = volley.to_vec();
    if usual.one_at_a_time && options.attacks.is_empty() {
        // Each client waits for those before it, also in the control.
        let few = ((1.5 / usual.time.as_secs_f64().max(0.001)) as usize).clamp(4, 24);
        let is_near = volley.iter().all(|attack| is_near(attack, usual));
        if is_near {
            most = 1; // a client before it would shift its delay
        } else if volley.len() > few {
            // Only delays within the time that the server needs for an answer.
            most = most.min(few);
            volley.truncate(few);
            let step = usual.time / (few as u32 + 1);
            for (attack, number) in volley.iter_mut().zip(1..) {
                if let When::Late(_) = attack.when {
                    attack.when = When::Late(step * number);
                }
            }
        }
    }
    volley.chunks(most).map(<[Attack]>::to_vec).collect()
}

/// The volleys of a cycle, in order.
pub fn volleys(
    options: &Options,
    number: u64,
    usual: &Usual,
    random: &mut Random,
) -> Vec<Vec<Attack>> {
    if !options.attacks.is_empty() {
        return vec![options.attacks.clone()];
    }
    let is_slow = usual.time >= Duration::from_millis(20);
    let mut volleys = attack::cycle(number, is_slow, options.requests.tls.is_some(), random);
    if usual.time > NEAR {
        // The server may check the connection after its work, and write a little later.
        let at = volleys.len().min(4);
        let offset = Duration::from_micros(random.next() % 250);
        let delays = (0..12).map(|step| usual.time - NEAR + offset + step * NEAR / 8);
        volleys.insert(
            at,
            delays.map(|delay| Attack { when: When::Late(delay), ..Attack::BREATH }).collect(),
        );
    }
    volleys
}

/// The extra delays begin this long before the usual time of an answer.
const NEAR: Duration = Duration::from_millis(2);

fn is_near(attack: &Attack, usual: &Usual) -> bool {
    let near = usual.time.saturating_sub(NEAR)..usual.time + NEAR;
    matches!(attack.when, When::Late(delay) if near.contains(&delay))
}

/// Lists the connections to a server that answers everything at once. The last line says how many
/// they are.
pub fn dry_run(options: &Options) -> Vec<String> {
    let usual = Usual {
        bytes: 1,
        one_at_a_time: options.open == 1,
        open: options.open,
        ..Usual::default()
    };
    let is_outside = options.spawn.is_empty();
    let canaries = if is_outside { canaries(options.open) } else { 0 };
    // The rate and the total limit the list.
    let seconds = options.time.as_secs_f64();
    let by_rate = options.rate.map_or(u64::MAX, |rate| (rate * seconds) as u64 + 8);
    let most = usize::try_from(by_rate.min(options.total)).unwrap_or(usize::MAX);

    let mut lines = vec!["polite"];
    if options.open > 1 {
        lines.extend(["held", "polite"]);
    }
    if canaries > 0 {
        lines.extend(vec!["held"; canaries]);
        lines.push("polite");
    }
    lines.push("polite");
    let mut polite = lines.iter().filter(|line| **line == "polite").count() as u64;
    let mut attacks = 0;
    let mut lines: Vec<String> = lines.into_iter().map(String::from).collect();
    let mut random = Random(options.seed);
    for number in 0.. {
        let before = lines.len();
        for volley in volleys(options, number, &usual, &mut random) {
            for part in parts(&volley, options, canaries, &usual) {
                let clients = due(polite, attacks, part.len(), &usual, options);
                lines.extend(vec!["polite".to_owned(); clients]);
                polite += clients as u64;
                if options.polite {
                    continue;
                }
                if part[0].queued {
                    lines.push("held".into());
                }
                lines.extend(part.iter().map(Attack::to_string));
                attacks += part.len() as u64;
                if options.open > 1 {
                    lines.push("follower".into());
                    polite += 1;
                }
                if is_outside {
                    lines.push("polite".into());
                    polite += 1;
                }
            }
        }
        // Without a rate, one cycle is enough: the next ones differ only in order and delays.
        if options.rate.is_none() || lines.len() >= most || lines.len() == before {
            break;
        }
    }
    let whole = lines.len() <= most;
    lines.truncate(most);
    for (number, line) in (1..).zip(&mut lines) {
        *line = format!("#{number} {line}");
    }
    lines.push(match whole {
        false => format!("about {most} connections in {seconds} s, if the server answers at once"),
        true => format!(
            "{} connections in the first cycle; cycles go on for {seconds} s, and up to {} \
             connections",
            lines.len(),
            options.total
        ),
    });
    lines
}
