//! Texts with variables in them.

use std::fmt;

use regex::Regex;

/// A text with variables in it, `1$${smdp}$TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

/// A variable of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `${smdp}`: the address of the lab's SM-DP+.
    Smdp,
    /// `${eid}`: the EID of the lab's card.
    Eid,
    /// `${iccid.NAME}`: the ICCID of the built-in profile, padded with F as EF_ICCID has it.
    Iccid(String),
    /// `${name.NAME}`: the name of the built-in profile, as its metadata tells it.
    Name(String),
    /// `${provider.NAME}`: the name of its service provider.
    Provider(String),
    /// `${NAME}`: what an earlier step has captured.
    Captured(String),
}

impl Variable {
    /// How the variables are written, for messages.
    pub const FORMS: [&'static str; 5] =
        ["${smdp}", "${eid}", "${iccid.PROFILE}", "${name.PROFILE}", "${provider.PROFILE}"];

    /// Names that a capture cannot have: they mean something already.
    pub const RESERVED: [&'static str; 3] = ["smdp", "eid", "iccid"];

    /// The built-in profile that it is about, if it is about one.
    pub fn profile(&self) -> Option<&str> {
        match self {
            Variable::Iccid(profile) | Variable::Name(profile) | Variable::Provider(profile) => Some(profile),
            Variable::Smdp | Variable::Eid | Variable::Captured(_) => None,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "smdp" => Some(Variable::Smdp),
            "eid" => Some(Variable::Eid),
            _ => match name.split_once('.') {
                Some(("iccid", profile)) => Some(Variable::Iccid(profile.to_owned())),
                Some(("name", profile)) => Some(Variable::Name(profile.to_owned())),
                Some(("provider", profile)) => Some(Variable::Provider(profile.to_owned())),
                _ => is_name(name).then(|| Variable::Captured(name.to_owned())),
            },
        }
    }
}

/// A text whose variables cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A `${` without its `}`.
    NotClosed,
    /// A name that is no variable.
    Unknown(String),
}

impl Template {
    /// Reads a text. A `$` that is not followed by `{` stands for itself, as activation codes are full of them.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let end = rest[start..].find('}').ok_or(TemplateError::NotClosed)? + start;
            let name = &rest[start + 2..end];
            let variable = Variable::parse(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            parts.push(Part::Variable(variable));
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template { parts })
    }

    /// A text that is as it stands.
    pub fn plain(text: &str) -> Self {
        Template { parts: vec![Part::Text(text.to_owned())] }
    }

    /// The variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable(variable) => Some(variable),
        })
    }

    /// The text with each variable replaced by what `value` says.
    pub fn fill(&self, mut value: impl FnMut(&Variable) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(variable) => value(variable),
            })
            .collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Variable(Variable::Smdp) => f.write_str("${smdp}"),
            Part::Variable(Variable::Eid) => f.write_str("${eid}"),
            Part::Variable(Variable::Iccid(profile)) => write!(f, "${{iccid.{profile}}}"),
            Part::Variable(Variable::Name(profile)) => write!(f, "${{name.{profile}}}"),
            Part::Variable(Variable::Provider(profile)) => write!(f, "${{provider.{profile}}}"),
            Part::Variable(Variable::Captured(name)) => write!(f, "${{{name}}}"),
        })
    }
}

/// Whether a text can be the name of a capture: letters, digits and `_`, a letter first.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A regular expression that has to match the whole of a text. Its named groups, `(?<name>...)`, capture.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads it; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let regex = Regex::new(&format!("^(?:{text})$")).map_err(|error| error.to_string())?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// The names of what it captures.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }

    /// Whether the whole text is as the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What its groups capture, by their names; `None` when the text is another.
    pub fn captures(&self, text: &str) -> Option<Vec<(String, String)>> {
        let found = self.regex.captures(text)?;
        let value = |name: &str| found.name(name).map_or(String::new(), |group| group.as_str().to_owned());
        Some(self.names().map(|name| (name.to_owned(), value(name))).collect())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

/// A line that is expected from the modem.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectedLine {
    /// This line.
    Text(Template),
    /// A line that this pattern is the whole of.
    Pattern(Pattern),
    /// `...`: any lines, also none.
    Any,
}

impl fmt::Display for ExpectedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpectedLine::Text(template) => template.fmt(f),
            ExpectedLine::Pattern(pattern) => pattern.fmt(f),
            ExpectedLine::Any => f.write_str("..."),
        }
    }
}
