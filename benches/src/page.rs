//! The report as a page of its own: ratios and latencies drawn, the figures as a table.

use std::fmt::Write as _;

use crate::results::{BOUND, Rounds, Row, Spread, title_of};

/// What stands above the figures: name and value.
pub type Facts = [(&'static str, String)];

/// How wide and high things are, in the units of the drawings.
const WIDTH: f64 = 900.0;
const LABELS: f64 = 410.0;
const LINE: f64 = 26.0;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2329; --quiet: #68727c; --line: #d5dae0;
  --paper: #fff; --first: #1f6feb; --second: #b3541e; --third: #6f42c1 }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --quiet: #98a2ac; --line: #3a424a;
  --paper: #14181c; --first: #6cb0ff; --second: #f0a36b; --third: #b89cf5 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 960px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
p { color: var(--quiet); margin: .3rem 0 } dl { display: grid; grid-template-columns: auto 1fr; gap: 0 1rem }
dt { color: var(--quiet) } dd { margin: 0 }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif } svg text { fill: var(--ink); stroke: none }
svg .quiet { fill: var(--quiet) } svg .grid { stroke: var(--line) } .scroll { overflow-x: auto }
svg .mark { stroke: var(--ink); stroke-width: 2 }
.first { color: var(--first) } .second { color: var(--second) } .third { color: var(--third) }
svg .first, svg .second, svg .third { fill: currentColor; stroke: currentColor } svg .hollow { fill: var(--paper); stroke: var(--ink) }
svg line { stroke-width: 2 } svg .grid { stroke-width: 1 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left } th { font-weight: 600 }
";

/// Returns the page.
pub fn page(facts: &Facts, rounds: &Rounds) -> String {
    let rows = rounds.rows();
    let mut told = String::new();
    for (name, value) in facts {
        let _ = write!(told, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let (ratios, latencies) = (ratios(&rows), latencies(&rows, rounds.spread(BOUND, "p99_us")));
    let table = table(&rows);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>beckn-receiver, measured</title><style>{STYLE}</style>\n\
         <h1>beckn-receiver, measured</h1>\n<dl>{told}</dl>\n\
         <h2>To what it is compared with</h2>\n\
         <p>Medians of the rounds' ratios, with the smallest and the largest. \
         <span class=\"first\">●</span> CPU time of what it is compared with, to its own; \
         <span class=\"second\">●</span> its rate, to that of what it is compared with. \
         More is better; the number is the median of the CPU time's ratio.</p>\n{ratios}\n\
         <h2>Latency of an answer</h2>\n\
         <p>Medians of the rounds, on a logarithmic scale. <span class=\"first\">●</span> p50, \
         <span class=\"second\">●</span> p99, <span class=\"third\">●</span> p99.9, ○ longest. \
         The bar beside the open loop is four times the disk's p99 of an fdatasync, and 2 ms.</p>\n\
         {latencies}\n<h2>Figures</h2>\n\
         <p>Medians of the rounds. CPU time is that of the server's process for each request.</p>\n\
         <div class=\"scroll\">{table}</div></html>\n"
    )
}

/// Returns the rows as a Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = format!("| {} |\n{}|\n", HEADS.join(" | "), "|---".repeat(HEADS.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    text
}

const HEADS: [&str; 9] =
    ["what", "to", "CPU ratio", "rate ratio", "CPU, µs", "rate", "p50, µs", "p99, µs", "p99.9, µs"];

fn cells(row: &Row) -> [String; 9] {
    [
        row.title.to_owned(),
        row.against.map_or("", title_of).to_owned(),
        percent(row.cpu_ratio),
        percent(row.rate_ratio),
        figure(row.cpu_us, 1),
        figure(row.rps, 0),
        figure(row.p50_us, 0),
        figure(row.p99_us, 0),
        figure(row.p999_us, 0),
    ]
}

fn percent(spread: Option<Spread>) -> String {
    let text = |Spread { median, smallest, largest }: Spread| {
        let [median, smallest, largest] = [median, smallest, largest].map(|ratio| 100.0 * ratio);
        format!("{median:.1} % ({smallest:.1} to {largest:.1})")
    };
    spread.map_or(String::new(), text)
}

fn figure(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or(String::new(), |spread| format!("{:.digits$}", spread.median))
}

fn table(rows: &[Row]) -> String {
    let mut html = format!("<table><tr><th>{}</th></tr>", HEADS.join("</th><th>"));
    for row in rows {
        let cells = cells(row).map(|cell| escaped(&cell));
        let _ = write!(html, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    html + "</table>"
}

/// A drawing that grows by lines.
struct Drawing {
    body: String,
    height: f64,
    /// The values at the left and at the right edge, as they are drawn.
    range: (f64, f64),
}

impl Drawing {
    fn new(range: (f64, f64)) -> Drawing {
        Drawing { body: String::new(), height: LINE, range }
    }

    fn x(&self, value: f64) -> f64 {
        let (left, right) = self.range;
        let share = ((value - left) / (right - left)).clamp(0.0, 1.0);
        LABELS + share * (WIDTH - LABELS - 60.0)
    }

    fn label(&mut self, text: &str, quiet: &str) {
        self.height += LINE;
        let (right, y) = (LABELS - 14.0, self.height - LINE / 2.0 + 4.0);
        let (text, quiet) = (escaped(text), escaped(quiet));
        let _ = write!(
            self.body,
            "<text x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{text} \
             <tspan class=\"quiet\">{quiet}</tspan></text>"
        );
    }

    /// Draws a dot into the current line, and a line from `from` to `to` behind it.
    fn dot(&mut self, at: f64, (from, to): (f64, f64), (class, down): (&str, f64)) {
        let [at, from, to] = [at, from, to].map(|value| self.x(value));
        let y = self.height - LINE / 2.0 + down;
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\"/>\
             <circle class=\"{class}\" cx=\"{at:.1}\" cy=\"{y}\" r=\"4\"/>"
        );
    }

    fn text(&mut self, at: f64, text: &str) {
        let (x, y) = (self.x(at) + 8.0, self.height - LINE / 2.0 + 4.0);
        let _ = write!(self.body, "<text class=\"quiet\" x=\"{x:.1}\" y=\"{y}\">{text}</text>");
    }

    fn mark(&mut self, at: f64) {
        let (x, y) = (self.x(at), self.height - LINE / 2.0);
        let (top, bottom) = (y - 10.0, y + 10.0);
        let _ = write!(
            self.body,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"
        );
    }

    /// Puts lines with their names behind it all.
    fn finish(self, lines: &[(f64, String)]) -> String {
        let mut grid = String::new();
        let bottom = self.height + 4.0;
        for (at, name) in lines {
            let x = self.x(*at);
            let _ = write!(
                grid,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{LINE}\" y2=\"{bottom}\"/>\
                 <text class=\"quiet\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
                LINE - 8.0
            );
        }
        format!("<svg viewBox=\"0 0 {WIDTH} {bottom}\" role=\"img\">{grid}{}</svg>", self.body)
    }
}

fn ratios(rows: &[Row]) -> String {
    let compared = || rows.iter().filter(|row| row.cpu_ratio.or(row.rate_ratio).is_some());
    let largest = compared()
        .flat_map(|row| [row.cpu_ratio, row.rate_ratio])
        .flatten()
        .fold(1.0, |most: f64, spread| most.max(spread.largest));
    // One that was measured in a bad moment must not press all others together.
    let right = largest.min(2.0);
    let mut drawing = Drawing::new((0.0, right));
    for row in compared() {
        drawing.label(row.title, &format!("to {}", row.against.map_or("", title_of)));
        for (spread, class, down) in
            [(row.cpu_ratio, "first", -4.0), (row.rate_ratio, "second", 4.0)]
        {
            if let Some(Spread { median, smallest, largest }) = spread {
                drawing.dot(median, (smallest, largest), (class, down));
            }
        }
        if let Some(cpu) = row.cpu_ratio {
            let end = row.rate_ratio.map_or(cpu.largest, |rate| rate.largest.max(cpu.largest));
            drawing.text(end, &format!("{:.0} %", 100.0 * cpu.median));
        }
    }
    let lines = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0];
    let lines = lines.into_iter().filter(|at| *at <= right);
    let lines: Vec<_> = lines.map(|at| (at, format!("{:.0} %", 100.0 * at))).collect();
    drawing.finish(&lines)
}

fn latencies(rows: &[Row], bound: Option<Spread>) -> String {
    let mut drawn: Vec<&Row> = Vec::new();
    for row in rows {
        if row.p50_us.is_some() && drawn.iter().all(|other| other.what != row.what) {
            drawn.push(row);
        }
    }
    let figures = |row: &Row| [row.p50_us, row.p99_us, row.p999_us, row.max_us];
    let all = || drawn.iter().flat_map(|row| figures(row)).flatten().chain(bound);
    let least = all().fold(f64::MAX, |least, spread| least.min(spread.median.max(1.0)));
    let most = all().fold(10.0, |most: f64, spread| most.max(spread.median));
    let edges = (least.log10().floor(), most.log10().ceil());
    let mut drawing = Drawing::new(edges);
    for row in drawn {
        drawing.label(row.title, "");
        let classes = ["first", "second", "third", "hollow"];
        // The longest first, so that what says more lies above it.
        for (spread, class) in figures(row).into_iter().zip(classes).rev() {
            if let Some(Spread { median, .. }) = spread {
                let at = median.max(1.0).log10();
                drawing.dot(at, (at, at), (class, 0.0));
            }
        }
        if let Some(bound) = bound.filter(|_| row.what == "open-64") {
            drawing.mark(bound.median.log10());
        }
    }
    let lines = [1e0_f64, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
    let lines = lines.into_iter().filter(|us| (edges.0..=edges.1).contains(&us.log10()));
    let lines: Vec<_> = lines.map(|us| (us.log10(), time(us))).collect();
    drawing.finish(&lines)
}

/// Returns a power of ten of microseconds as people write it.
fn time(micros: f64) -> String {
    match micros {
        1e6.. => format!("{} s", micros / 1e6),
        1e3.. => format!("{} ms", micros / 1e3),
        _ => format!("{micros} µs"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;
    use crate::results::{Measurement, Rounds};

    #[test]
    fn a_page_shows_ratios_latencies_and_the_machine() {
        let figures = json!({"rps": 10.0, "cpu_us_per_request": 5.0, "p50_us": 70, "p99_us": 900});
        let measured = ["floor-64", "unsigned-64"].map(|what| Measurement {
            round: 1,
            what: what.to_owned(),
            figures: figures.as_object().unwrap().clone(),
        });
        let page = page(&[("CPU", "<a & b>".to_owned())], &Rounds::new(&measured));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        for part in ["&lt;a &amp; b&gt;", "axum floor", "durable ACK", "100.0 % (100.0 to 100.0)"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
