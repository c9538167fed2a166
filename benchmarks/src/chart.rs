//! Bars in SVG: no library draws so little so simply.

use std::fmt::Write as _;

use crate::report::{LIMIT, Results};

const WIDTH: f64 = 760.0;
const LABEL: f64 = 190.0;
const BAR: f64 = 15.0;
const GAP: f64 = 4.0;
const OURS: [&str; 2] = ["array-format", "array-format, mapped"];

/// The steps of a workload, each with a bar a peer, as long as it took; steps have scales of their own.
pub fn svg(results: &Results, workload: &str, title: &str) -> String {
    let mut body = String::new();
    let mut y = 44.0;
    for (step, _, peers) in results.steps(workload) {
        let longest = peers.iter().map(|p| p.1.seconds).fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(body, r#"<text x="0" y="{y}" class="step">{}</text>"#, escaped(step));
        y += 8.0;
        for (peer, s) in &peers {
            let class = match *peer {
                ours if OURS.contains(&ours) => "ours",
                LIMIT => "limit",
                _ => "peer",
            };
            let (middle, length) = (y + BAR - 4.0, (s.seconds / longest * (WIDTH - LABEL - 90.0)).max(1.0));
            let _ = writeln!(
                body,
                r#"<text x="{}" y="{middle}" text-anchor="end">{}</text>"#,
                LABEL - 8.0,
                escaped(peer)
            );
            let _ = writeln!(
                body,
                r#"<rect x="{LABEL}" y="{y}" width="{length:.1}" height="{BAR}" class="{class}"/>"#
            );
            let _ = writeln!(
                body,
                r#"<text x="{:.1}" y="{middle}">{}</text>"#,
                LABEL + length + 6.0,
                time(s.seconds)
            );
            y += BAR + GAP;
        }
        y += 26.0;
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0}" width="{WIDTH}" height="{y:.0}" font-family="sans-serif" font-size="12" role="img">
<title>{title}</title>
<style>text {{ fill: #333 }} .head {{ font-size: 14px; font-weight: bold }} .step {{ font-weight: bold }} .ours {{ fill: #0b7285 }} .limit {{ fill: #adb5bd }} .peer {{ fill: #e8a33d }}</style>
<rect width="100%" height="100%" fill="#fff"/>
<text x="0" y="18" class="head">{title}</text>
{body}</svg>
"##,
        title = escaped(title)
    )
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} us", s * 1e6),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
