//! The returns as a picture: a line for each way to end, on a logarithmic scale.

use std::fmt::{self, Write};

use super::{Panel, Returns};

const WIDTH: f64 = 1180.0;
const MARGIN: f64 = 36.0;
const GAP: f64 = 64.0;
const PANEL: f64 = (WIDTH - 2.0 * MARGIN - GAP) / 2.0;
const TOP: f64 = 128.0;
const HEIGHT: f64 = 260.0;
/// Before the plot, for the figures of the scale.
const SCALE: f64 = 56.0;
const FOOT: f64 = 130.0;
/// The lowest rate that is drawn: one in a tenth of a second.
const LEAST: f64 = 10.0;
const COLOURS: [&str; 3] = ["#8a93a5", "#3b7dd8", "#ea6a2a"];

const STYLE: &str = "\
    text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#3b4252}\
    .page{fill:#fbfbfd}.title{font-size:22px;font-weight:700;fill:#1b2130}\
    .note{fill:#6b7485}.head{font-weight:650;font-size:14px;fill:#1b2130}\
    .tick{font-size:11px;fill:#8a93a5}.grid{stroke:#e4e7ee}\
    polyline{fill:none;stroke-width:2}";

/// The whole picture, as SVG.
pub(super) fn draw(panels: &[Panel]) -> String {
    let height = TOP + HEIGHT + FOOT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Clients that come back when a \
         node ends\">\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" \
         height=\"{height}\" rx=\"14\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"44\">A node ends, and its clients come back</text>\n\
         <text class=\"note\" x=\"{MARGIN}\" y=\"68\">Clients that come back a second, in each tenth \
         of a second; logarithmic; lower is better</text>\n"
    );
    for (column, panel) in panels.iter().enumerate() {
        let left = MARGIN + column as f64 * (PANEL + GAP);
        // Writing to a string can't fail.
        let _ = draw_panel(&mut out, panel, left);
    }
    out.push_str("</svg>\n");
    out
}

/// From values to places on the page.
struct Plot {
    left: f64,
    seconds: f64,
    most: f64,
}

impl Plot {
    fn x(&self, second: f64) -> f64 {
        self.left + SCALE + (PANEL - SCALE) * second / self.seconds
    }

    fn y(&self, rate: f64) -> f64 {
        let share = (rate.max(LEAST) / LEAST).ln() / (self.most / LEAST).ln();
        TOP + HEIGHT * (1.0 - share)
    }

    fn points(&self, returns: &Returns) -> String {
        let mut points = format!("{:.1},{:.1}", self.x(0.0), self.y(0.0));
        let mut end = 0.0;
        for (second, rate) in returns.rates() {
            end = second + 0.1;
            let y = self.y(rate);
            let _ = write!(
                points,
                " {:.1},{y:.1} {:.1},{y:.1}",
                self.x(second),
                self.x(end)
            );
        }
        let _ = write!(points, " {:.1},{:.1}", self.x(end), self.y(0.0));
        points
    }
}

fn draw_panel(out: &mut String, panel: &Panel, left: f64) -> fmt::Result {
    let lines = || panel.lines.iter().map(|(_, returns)| returns);
    let last = lines().map(|returns| returns.last().as_secs_f64());
    let peak = lines().map(Returns::peak).fold(LEAST * 10.0, f64::max);
    let plot = Plot {
        left,
        seconds: last.fold(1.0, f64::max),
        most: 10f64.powf(peak.log10().ceil()),
    };
    let (title, right) = (&panel.title, left + PANEL);
    writeln!(
        out,
        "<text class=\"head\" x=\"{left}\" y=\"{}\">{title}</text>",
        TOP - 20.0
    )?;
    let mut rate = LEAST;
    while rate <= plot.most {
        let (y, x) = (plot.y(rate), left + SCALE);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{x}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{rate}</text>",
            x - 8.0,
            y + 4.0
        )?;
        rate *= 10.0;
    }
    let step = (plot.seconds / 5.0).ceil().max(1.0);
    let mut second = 0.0;
    while second <= plot.seconds {
        writeln!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{second} s</text>",
            plot.x(second),
            TOP + HEIGHT + 18.0
        )?;
        second += step;
    }
    for (nth, ((name, returns), colour)) in panel.lines.iter().zip(COLOURS).enumerate() {
        let y = TOP + HEIGHT + 48.0 + 22.0 * nth as f64;
        let peak = returns.peak();
        let points = plot.points(returns);
        writeln!(
            out,
            "<polyline points=\"{points}\" stroke=\"{colour}\"/>\n\
             <rect x=\"{}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{y}\">{name}: at most {peak:.0} a second</text>",
            left + SCALE,
            y - 6.0,
            left + SCALE + 22.0
        )?;
    }
    Ok(())
}
