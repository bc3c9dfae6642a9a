//! The page's frame: plain HTML and one style sheet, printable, nothing fetched from anywhere.

/// A page under construction.
pub(crate) struct Page {
    title: String,
    body: String,
}

const STYLE: &str = "
:root { --ink: #1c2733; --quiet: #5d6b7a; --line: #dfe4ea; --tint: #f6f8fa; --accent: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 40px 32px 64px; }
.over { color: var(--accent); font-weight: 600; letter-spacing: .04em; text-transform: uppercase; font-size: 12px; margin: 0; }
h1 { font-size: 27px; line-height: 1.25; margin: 4px 0 10px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 26px 0 6px; }
p { margin: 8px 0; max-width: 76ch; }
.quiet, figcaption { color: var(--quiet); font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; margin: 22px 0 0; }
.card { background: var(--tint); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.card b { display: block; font-size: 20px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { color: var(--quiet); font-size: 12px; }
ol, ul { margin: 8px 0; padding-left: 22px; max-width: 80ch; }
li { margin: 4px 0; }
.notice { background: #fff8e6; border: 1px solid #f0dca6; border-radius: 8px; padding: 6px 14px; }
.notice li::first-letter { text-transform: uppercase; }
figure { margin: 14px 0 6px; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: 6px; max-width: 92ch; }
table { border-collapse: collapse; margin: 10px 0; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th { text-align: left; color: var(--quiet); font-weight: 600; border-bottom: 1px solid var(--line); padding: 4px 18px 4px 0; }
td { border-bottom: 1px solid var(--line); padding: 4px 18px 4px 0; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; margin: 6px 0; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 8px; padding: 12px; font-size: 12.5px; overflow: auto; }
@media print { main { padding: 0; max-width: none; } h2 { break-after: avoid; } }
";

impl Page {
    /// A page about the run `name`.
    pub(crate) fn new(name: &str) -> Self {
        let title = escape(name);
        let body = format!("<p class=\"over\">Preprocessing report</p><h1>{title}</h1>");
        Self { title, body }
    }

    /// The first paragraph.
    pub(crate) fn lead(&mut self, html: &str) {
        self.body.push_str(&format!("<p>{html}</p>"));
    }

    /// The numbers that come first: value, then what it is.
    pub(crate) fn cards(&mut self, cards: &[(String, &str)]) {
        let card = |(value, what): &(String, &str)| {
            format!("<div class=\"card\"><b>{}</b><span>{}</span></div>", escape(value), escape(what))
        };
        let cards: String = cards.iter().map(card).collect();
        self.body.push_str(&format!("<div class=\"cards\">{cards}</div>"));
    }

    /// A section; nothing to show is no section.
    pub(crate) fn section(&mut self, title: &str, html: &str) {
        if !html.is_empty() {
            self.body.push_str(&format!("<section><h2>{}</h2>{html}</section>", escape(title)));
        }
    }

    /// The whole.
    pub(crate) fn html(&self) -> String {
        let Self { title, body } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}: preprocessing</title>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
             <body><main>{body}</main></body></html>\n"
        )
    }
}

/// A picture with its caption.
pub(crate) fn figure(svg: &str, caption: &str) -> String {
    format!("<figure>{svg}<figcaption>{}</figcaption></figure>", escape(caption))
}

/// Sentences in a box that is seen.
pub(crate) fn notice(sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let items: String = sentences.iter().map(|sentence| format!("<li>{}.</li>", escape(sentence))).collect();
    format!("<div class=\"notice\"><ul>{items}</ul></div>")
}

/// A table of text.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: String = head.iter().map(|cell| format!("<th>{}</th>", escape(cell))).collect();
    let row = |cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = rows.into_iter().map(row).collect();
    format!("<table><tr>{head}</tr>{rows}</table>")
}

/// Text as HTML: a file's name or a trial's type is never markup.
pub(crate) fn escape(text: &str) -> String {
    let replaced = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        other => other.to_string(),
    };
    text.chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_files_are_text_and_never_markup() {
        let mut page = Page::new("<script>alert(1)</script>.nii");
        page.section("a & b", &table(&["\"x\""], [vec!["<b>".into()]]));
        let html = page.html();
        assert!(!html.contains("<script>") && !html.contains("<b>") && html.contains("a &amp; b"), "{html}");
    }

    #[test]
    fn a_section_without_content_is_left_out() {
        let mut page = Page::new("run");
        page.section("Empty", "");
        assert!(!page.html().contains("Empty"));
    }
}
