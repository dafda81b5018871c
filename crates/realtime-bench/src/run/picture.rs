//! The report as a picture: for each work the servers as bars, ours in colour.

use std::fmt::Write;

use super::{results::Results, table::headline};
use crate::work::Work;

const WIDTH: f64 = 1180.0;
const MARGIN: f64 = 36.0;
const GAP: f64 = 44.0;
const PANEL: f64 = (WIDTH - 2.0 * MARGIN - GAP) / 2.0;
/// Where the bars begin, behind the names.
const NAMES: f64 = 164.0;
/// What is kept behind the longest bar for its figure.
const FIGURES: f64 = 56.0;
const ROW: f64 = 24.0;
const BAR: f64 = 15.0;
const HEAD: f64 = 96.0;

/// Bars on a logarithmic scale.
struct Panel {
    title: String,
    /// The scale's ends.
    scale: (f64, f64),
    /// Where every bar begins.
    base: f64,
    ticks: Vec<f64>,
    show: fn(f64) -> String,
    bars: Vec<Bar>,
}

struct Bar {
    name: &'static str,
    ours: bool,
    value: Option<f64>,
}

/// The whole picture, as SVG.
pub(super) fn draw(works: &[Work], results: &Results) -> String {
    let panels: Vec<_> = works
        .iter()
        .flat_map(|work| panels(*work, results))
        .collect();
    let mut out = String::new();
    let height = page(&mut out, &panels);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"realtime beside its peers\">\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" \
         rx=\"14\"/>\n{out}</svg>\n"
    )
}

const STYLE: &str = "\
    text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#3b4252}\
    .page{fill:#fbfbfd}.title{font-size:22px;font-weight:700;fill:#1b2130}\
    .note{fill:#6b7485}.head{font-weight:650;font-size:14px;fill:#1b2130}\
    .tick{font-size:11px;fill:#8a93a5;text-anchor:middle}.name{text-anchor:end}\
    .ours{font-weight:700;fill:#c2410c}.grid{stroke:#e4e7ee}.floor{stroke:#8a93a5}\
    .bar{fill:#a9b4c6}.best{fill:#ea6a2a}";

fn page(out: &mut String, panels: &[Panel]) -> f64 {
    // Writing to a string can't fail.
    let _ = write!(
        out,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"44\">realtime beside its peers</text>\n\
         <text class=\"note\" x=\"{MARGIN}\" y=\"68\">CPU time as a multiple of the floor, a bare \
         epoll loop in C; logarithmic; shorter is better</text>\n"
    );
    let mut y = HEAD;
    for pair in panels.chunks(2) {
        for (column, panel) in pair.iter().enumerate() {
            let x = MARGIN + column as f64 * (PANEL + GAP);
            let _ = panel.draw(out, x, y);
        }
        let rows = pair.iter().map(|panel| panel.bars.len()).max();
        y += rows.unwrap_or_default() as f64 * ROW + 78.0;
    }
    y
}

fn panels(work: Work, results: &Results) -> Vec<Panel> {
    let bars = |value: &dyn Fn(&super::results::Samples) -> Option<f64>| {
        let mut bars: Vec<_> = results
            .of(work)
            .map(|(peer, samples)| Bar {
                name: peer.name,
                ours: peer.is_ours(),
                value: value(samples),
            })
            .collect();
        bars.sort_by(|a, b| f64::total_cmp(&rank(a), &rank(b)));
        bars
    };
    let mut panels = vec![Panel::ratios(
        work.title(),
        bars(&|samples| headline(work, samples)),
    )];
    if matches!(work, Work::Connect(_)) {
        for (index, when) in ["idle", "after 100 messages"].into_iter().enumerate() {
            panels.push(Panel::bytes(
                format!("memory per connection, {when}"),
                bars(&|samples| samples.median(|sample| Some(sample.outcome.memory?[index]))),
            ));
        }
    }
    panels
}

fn rank(bar: &Bar) -> f64 {
    bar.value.unwrap_or(f64::INFINITY)
}

impl Panel {
    fn ratios(title: String, bars: Vec<Bar>) -> Self {
        let (least, most) = ends(&bars);
        let (low, high) = (least.clamp(0.1, 0.7), most.max(2.2));
        Self {
            title,
            scale: (low, high),
            base: 1.0,
            ticks: doubling(1.0, high),
            show: |value| format!("{value:.2}×"),
            bars,
        }
    }

    fn bytes(title: String, bars: Vec<Bar>) -> Self {
        const KIB: f64 = 1024.0;
        let (_, most) = ends(&bars);
        let high = most.max(4.0 * KIB);
        Self {
            title,
            scale: (KIB / 4.0, high),
            base: KIB / 4.0,
            ticks: doubling(KIB / 2.0, high),
            show: |value| format!("{:.1} KiB", value / 1024.0),
            bars,
        }
    }

    fn draw(&self, out: &mut String, x: f64, y: f64) -> std::fmt::Result {
        let (left, width) = (x + NAMES, PANEL - NAMES - FIGURES);
        let (low, high) = self.scale;
        let place = |value: f64| {
            let part = (value.clamp(low, high) / low).ln() / (high / low).ln();
            left + part * width
        };
        let bottom = y + 22.0 + self.bars.len() as f64 * ROW;
        let title = &self.title;
        writeln!(
            out,
            "<text class=\"head\" x=\"{x}\" y=\"{y}\">{title}</text>"
        )?;
        for tick in &self.ticks {
            let (at, label) = (place(*tick), short((self.show)(*tick)));
            let class = if *tick == self.base { "floor" } else { "grid" };
            writeln!(
                out,
                "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" \
                 y2=\"{bottom:.1}\"/><text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\">{label}</text>",
                y + 14.0,
                bottom + 14.0,
            )?;
        }
        for (row, bar) in self.bars.iter().enumerate() {
            let top = y + 20.0 + row as f64 * ROW;
            let middle = top + BAR / 2.0 + 4.5;
            let (name, class) = (bar.name, if bar.ours { " ours" } else { "" });
            writeln!(
                out,
                "<text class=\"name{class}\" x=\"{:.1}\" y=\"{middle:.1}\">{name}</text>",
                left - 10.0
            )?;
            let Some(value) = bar.value else {
                let at = place(self.base) + 6.0;
                writeln!(
                    out,
                    "<text class=\"note\" x=\"{at:.1}\" y=\"{middle:.1}\">too slow, or failed</text>"
                )?;
                continue;
            };
            let (base, end) = (place(self.base), place(value));
            let (from, length) = (base.min(end), (end - base).abs().max(1.5));
            let fill = if bar.ours { "best" } else { "bar" };
            writeln!(
                out,
                "<rect class=\"{fill}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" \
                 height=\"{BAR}\" rx=\"3\"/><text class=\"{}\" x=\"{:.1}\" y=\"{middle:.1}\">{}\
                 </text>",
                class.trim(),
                base.max(end) + 7.0,
                (self.show)(value),
            )?;
        }
        Ok(())
    }
}

fn ends(bars: &[Bar]) -> (f64, f64) {
    let values = bars.iter().filter_map(|bar| bar.value);
    values.fold((f64::INFINITY, 0.0), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}

/// The marks of the scale, not so many that their labels touch.
fn doubling(first: f64, last: f64) -> Vec<f64> {
    let all = |step: f64| {
        std::iter::successors(Some(first), move |tick| Some(tick * step))
            .take_while(move |tick| *tick <= last)
    };
    let few = [2.0, 4.0, 16.0]
        .into_iter()
        .find(|step| all(*step).count() <= 7);
    all(few.unwrap_or(256.0)).collect()
}

/// A label without the zeros behind its point.
fn short(label: String) -> String {
    label.replace(".00", "").replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_few_marks() {
        assert_eq!(doubling(1.0, 5.0), [1.0, 2.0, 4.0]);
        assert!(doubling(512.0, 200_000.0).len() <= 7);
    }
}
