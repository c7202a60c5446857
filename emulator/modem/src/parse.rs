//! One command line to its commands (V.250 §5.3 and §5.4).
//!
//! A [`Parser`] hands out the commands of a body one after the other, because each is executed before the next is
//! looked at: a syntax error stops the line where it stands, and what came before it has been done.
//!
//! Names are turned to upper case; spaces outside of strings are passed over; a string keeps its bytes, with its
//! escapes resolved. Parameters that are not in quotes stay as they are written: whether they are numbers, hex
//! strings or names is known by the command only.

/// A command as it stands in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `E1`, `&F`, `I` (V.250 §5.3.1).
    Basic {
        /// The letter, with its `&` or `\`.
        name: &'static str,
        /// The number behind it.
        value: Option<u32>,
    },
    /// `D123;` (V.250 §6.3.1): the rest of the line up to a semicolon.
    Dial {
        /// What is dialled.
        number: String,
        /// The semicolon: a voice call.
        voice: bool,
    },
    /// `S3?`, `S3=13` (V.250 §5.3.2).
    Register {
        /// The number of the S-parameter.
        index: u32,
        /// What to do with it.
        action: RegisterAction,
    },
    /// `+CGLA=1,10,"80..."` (V.250 §5.4.1).
    Extended {
        /// The name with its `+`, in upper case.
        name: String,
        /// The form.
        form: Form,
    },
}

/// What a register command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegisterAction {
    /// `Sn?`
    Read,
    /// `Sn=v`; without a number the default is meant.
    Write(Option<u32>),
}

/// The form of an extended command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// `+CMD`
    Execute,
    /// `+CMD?`
    Read,
    /// `+CMD=?`
    Test,
    /// `+CMD=...`
    Write(Params),
}

/// A part of the line that is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Param {
    /// Nothing between the commas.
    Omitted,
    /// Without quotes: a number, hex digits, a name.
    Bare(String),
    /// In quotes, escapes resolved.
    Quoted(Vec<u8>),
}

/// The parameters of a write command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Params(pub(crate) Vec<Param>);

impl Params {
    /// How many there are, omitted ones between commas included.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A decimal number (V.250 §5.4.2.1).
    pub(crate) fn number(&self, index: usize) -> Option<u32> {
        match self.0.get(index)? {
            Param::Bare(text) => decimal(text.as_bytes()),
            _ => None,
        }
    }

    /// A string in quotes (V.250 §5.4.2.2).
    pub(crate) fn quoted(&self, index: usize) -> Option<&[u8]> {
        match self.0.get(index)? {
            Param::Quoted(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A string, in quotes or not.
    pub(crate) fn text(&self, index: usize) -> Option<&[u8]> {
        match self.0.get(index)? {
            Param::Omitted => None,
            Param::Bare(text) => Some(text.as_bytes()),
            Param::Quoted(bytes) => Some(bytes),
        }
    }

    /// True when this parameter is missing or empty.
    pub(crate) fn omitted(&self, index: usize) -> bool {
        matches!(self.0.get(index), None | Some(Param::Omitted))
    }
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first characters of names that follow the syntax of extended commands. V.250 has `+` only; makers use the
/// others for their own.
const EXTENDED: &[u8] = b"+*^$#%!";

/// Walks over the commands of one line.
#[derive(Debug)]
pub(crate) struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    /// A parser over the body of a line: what stands between `AT` and the terminator.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Parser { rest: body }
    }

    /// The next command; `None` at the end of the line. After an error nothing more comes.
    pub(crate) fn next(&mut self) -> Option<Result<Command, Malformed>> {
        let first = self.peek()?;
        let command = if EXTENDED.contains(&first) { self.extended() } else { self.basic() };
        if command.is_err() {
            self.rest = &[];
        }
        Some(command)
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.iter().all(|byte| *byte == b' ')
    }

    fn skip_spaces(&mut self) {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.skip_spaces();
        self.rest.first().copied()
    }

    fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.bump();
        }
        found
    }

    /// Digits, with spaces between them passed over. `Err` when the number has more than 32 bits.
    fn number(&mut self) -> Result<Option<u32>, Malformed> {
        let mut value: Option<u32> = None;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            self.bump();
            let next = value.unwrap_or(0).checked_mul(10).and_then(|sum| sum.checked_add(u32::from(digit - b'0')));
            value = Some(next.ok_or(Malformed)?);
        }
        Ok(value)
    }

    fn basic(&mut self) -> Result<Command, Malformed> {
        let prefix = match self.peek() {
            Some(prefix @ (b'&' | b'\\')) => {
                self.bump();
                Some(prefix)
            }
            _ => None,
        };
        let letter = self.peek().ok_or(Malformed)?.to_ascii_uppercase();
        self.bump();
        if letter == b'D' && prefix.is_none() {
            let end = self.rest.iter().position(|byte| *byte == b';');
            let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest.get(1..).unwrap_or_default();
            let number = String::from_utf8(number.to_vec()).map_err(|_| Malformed)?;
            return Ok(Command::Dial { number, voice: end.is_some() });
        }
        let command = if letter == b'S' && prefix.is_none() {
            let index = self.number()?.ok_or(Malformed)?;
            let action = if self.accept(b'?') {
                RegisterAction::Read
            } else if self.accept(b'=') {
                RegisterAction::Write(self.number()?)
            } else {
                return Err(Malformed);
            };
            Command::Register { index, action }
        } else {
            let name = basic_name(prefix, letter).ok_or(Malformed)?;
            Command::Basic { name, value: self.number()? }
        };
        // V.250 §5.3.1 needs no separator between basic commands; hosts write one all the same (`ATE0;+CMEE=1`).
        self.accept(b';');
        Ok(command)
    }

    fn extended(&mut self) -> Result<Command, Malformed> {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            // V.250 §5.4.1: a name is made of letters, digits and a few signs; the sign in front comes once.
            let fits = if name.is_empty() {
                EXTENDED.contains(&byte)
            } else {
                byte.is_ascii_alphanumeric() || b"!%-./:_".contains(&byte)
            };
            if !fits {
                break;
            }
            name.push(char::from(byte.to_ascii_uppercase()));
            self.bump();
        }
        if name.len() < 2 {
            return Err(Malformed);
        }
        let form = if self.accept(b'?') {
            Form::Read
        } else if self.accept(b'=') {
            if self.peek() == Some(b'?') {
                self.bump();
                Form::Test
            } else {
                Form::Write(self.params()?)
            }
        } else {
            Form::Execute
        };
        // V.250 §5.4.1: another command follows an extended one after a semicolon only.
        match self.peek() {
            None => {}
            Some(b';') => self.bump(),
            Some(_) => return Err(Malformed),
        }
        Ok(Command::Extended { name, form })
    }

    fn params(&mut self) -> Result<Params, Malformed> {
        let mut params = Vec::new();
        loop {
            let param = match self.peek() {
                None | Some(b',' | b';') => Param::Omitted,
                Some(b'"') => Param::Quoted(self.string()?),
                Some(_) => {
                    let mut text = Vec::new();
                    while let Some(byte) = self.peek() {
                        match byte {
                            b',' | b';' => break,
                            b'"' => return Err(Malformed),
                            _ => text.push(byte),
                        }
                        self.bump();
                    }
                    Param::Bare(String::from_utf8(text).map_err(|_| Malformed)?)
                }
            };
            params.push(param);
            if !self.accept(b',') {
                break;
            }
        }
        Ok(Params(params))
    }

    /// A string in quotes. V.250 §5.4.2.2: `\` and two hex digits stand for a character, so that a quote can be
    /// written as `\22`.
    fn string(&mut self) -> Result<Vec<u8>, Malformed> {
        self.bump();
        let mut text = Vec::new();
        loop {
            match self.rest {
                [] => return Err(Malformed),
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(text);
                }
                [b'\\', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    text.extend(rsp::ids::from_hex([*high, *low]).unwrap_or_default());
                    self.rest = rest;
                }
                [byte, rest @ ..] => {
                    // With it goes all that stands for itself.
                    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
                    let (run, rest) = rest.split_at(plain);
                    text.push(*byte);
                    text.extend_from_slice(run);
                    self.rest = rest;
                }
            }
        }
    }
}

/// The name of a basic command: a letter, or a letter behind a sign. Which of them a modem knows is another matter.
fn basic_name(sign: Option<u8>, letter: u8) -> Option<&'static str> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRTUVWXYZ";
    // V.250 §6.1.2, §6.2.8, §6.2.9; the others are Hayes' and makers' own.
    const SIGNED: [&str; 10] = ["&C", "&D", "&F", "&K", "&S", "&V", "&W", "\\N", "\\Q", "\\V"];
    match sign {
        None => LETTERS.find(char::from(letter)).and_then(|at| LETTERS.get(at..at + 1)),
        Some(sign) => SIGNED.into_iter().find(|name| name.as_bytes() == [sign, letter]),
    }
}

/// A text as a string in quotes: quotes, backslashes and control characters are written as `\` and two hex digits
/// (V.250 §5.4.2.2), so that no text can end a line or feign another one.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' | '\0'..='\x1F' | '\x7F' => out.push_str(&format!("\\{:02X}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(body: &str) -> Vec<Result<Command, Malformed>> {
        let mut parser = Parser::new(body.as_bytes());
        std::iter::from_fn(|| parser.next()).collect()
    }

    fn basic(name: &'static str, value: Option<u32>) -> Result<Command, Malformed> {
        Ok(Command::Basic { name, value })
    }

    fn extended(name: &str, form: Form) -> Result<Command, Malformed> {
        Ok(Command::Extended { name: name.to_owned(), form })
    }

    fn bare(text: &str) -> Param {
        Param::Bare(text.to_owned())
    }

    fn quoted(text: &str) -> Param {
        Param::Quoted(text.as_bytes().to_vec())
    }

    #[test]
    fn basic_commands() {
        assert_eq!(parse(""), []);
        assert_eq!(parse("e0V1 q 0"), [basic("E", Some(0)), basic("V", Some(1)), basic("Q", Some(0))]);
        assert_eq!(
            parse("&F&C1\\Q3Z"),
            [basic("&F", None), basic("&C", Some(1)), basic("\\Q", Some(3)), basic("Z", None)]
        );
        assert_eq!(
            parse("S3?S5=8S0="),
            [
                Ok(Command::Register { index: 3, action: RegisterAction::Read }),
                Ok(Command::Register { index: 5, action: RegisterAction::Write(Some(8)) }),
                Ok(Command::Register { index: 0, action: RegisterAction::Write(None) }),
            ]
        );
        assert_eq!(parse("ES"), [basic("E", None), Err(Malformed)]);
        for bad in ["S", "S3", "?", "&", "E99999999999", "=1", ",", "\u{e9}"] {
            assert_eq!(parse(bad), [Err(Malformed)], "{bad}");
        }
    }

    #[test]
    fn extended_commands() {
        assert_eq!(parse("+cgmi"), [extended("+CGMI", Form::Execute)]);
        assert_eq!(parse("+CCHO=?"), [extended("+CCHO", Form::Test)]);
        assert_eq!(
            parse("E0+CMEE?;+CGMI;I"),
            [basic("E", Some(0)), extended("+CMEE", Form::Read), extended("+CGMI", Form::Execute), basic("I", None)]
        );
        assert_eq!(parse("*CNTI=2"), [extended("*CNTI", Form::Write(Params(vec![bare("2")])))]);
        assert_eq!(
            parse("+CGLA=1,22,\"81e2\""),
            [extended("+CGLA", Form::Write(Params(vec![bare("1"), bare("22"), quoted("81e2")])))]
        );
        assert_eq!(
            parse("+CGLA = 1 , 4 , 81 E2;I"),
            [extended("+CGLA", Form::Write(Params(vec![bare("1"), bare("4"), bare("81E2")]))), basic("I", None)]
        );
        assert_eq!(
            parse("+X=,\"a;b, c\",;"),
            [extended("+X", Form::Write(Params(vec![Param::Omitted, quoted("a;b, c"), Param::Omitted])))]
        );
        assert_eq!(parse("+X="), [extended("+X", Form::Write(Params(vec![Param::Omitted])))]);
        assert_eq!(parse(r#"+X="a\22b\5C\zz""#), [extended("+X", Form::Write(Params(vec![quoted("a\"b\\\\zz")])))]);
        for bad in ["+", "+=1", "+X=\"a", "+X=\"a\"b", "+X=a\"b\"", "+X?1", "+X=?1", "+X&F", "++X"] {
            assert_eq!(parse(bad).last(), Some(&Err(Malformed)), "{bad}");
        }
    }

    #[test]
    fn parameters() {
        let params = Params(vec![bare("12"), quoted("12"), Param::Omitted, bare("x"), bare("4294967296")]);
        assert_eq!((params.number(0), params.number(1), params.number(2)), (Some(12), None, None));
        assert_eq!((params.number(3), params.number(4), params.number(5)), (None, None, None));
        assert_eq!((params.quoted(0), params.quoted(1)), (None, Some(&b"12"[..])));
        assert_eq!((params.text(0), params.text(2)), (Some(&b"12"[..]), None));
        assert!(params.omitted(2) && params.omitted(9) && !params.omitted(3));
    }

    #[test]
    fn quoting() {
        assert_eq!(quote("Profile1"), "\"Profile1\"");
        assert_eq!(quote("a\"b\\\r\nOK"), "\"a\\22b\\5C\\0D\\0AOK\"");
    }

    proptest! {
        #[test]
        fn any_bytes(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut parser = Parser::new(&body);
            let mut count = 0;
            while let Some(command) = parser.next() {
                count += 1;
                prop_assert!(count <= body.len());
                if command.is_err() {
                    prop_assert_eq!(parser.next(), None);
                }
            }
        }

        #[test]
        fn strings_read_what_is_quoted(text in ".{0,30}") {
            let line = format!("+X={}", quote(&text));
            prop_assert_eq!(parse(&line), [extended("+X", Form::Write(Params(vec![quoted(&text)])))]);
        }
    }
}
