//! What a real server has, by the names that scenarios give it: a file that the user writes (`--smdp-orders`).
//!
//! ```toml
//! format = 1
//!
//! # What a scenario calls operator-a is ordered over ES2+ by this type, or as one of these profiles.
//! [profile.operator-a]
//! profile_type = "Basic"
//!
//! # An order that is there already: its activation code was given to the user.
//! [[order]]
//! profile           = "operator-b"
//! activation_code   = "1$smdp.example.com$AB12-CD34"
//! confirmation_code = "1234"
//! ```

use std::collections::BTreeMap;

use rsp::{ActivationCode, Eid, Iccid, ServerAddress};
use serde::Deserialize;
use smdp::OrderState;
use toml::Spanned;

use crate::scenario::error::nearest;

/// What a server has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Profiles that can be ordered over ES2+, by the name that scenarios have for them.
    pub profiles: BTreeMap<String, StockProfile>,
    /// Orders that are there.
    pub orders: Vec<StockOrder>,
}

/// A profile that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockProfile {
    /// How it is ordered.
    pub by: OrderedBy,
    /// Its name; learned from the card when it is not told.
    pub name: Option<String>,
    /// The name of its service provider; learned from the card when it is not told.
    pub provider: Option<String>,
}

/// What downloadOrder says of a profile (SGP.22 §5.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderedBy {
    /// Its type: the server takes one.
    Type(String),
    /// One of these, each for one scenario.
    Iccids(Vec<Iccid>),
}

/// An order that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockOrder {
    /// The name that scenarios have for its profile.
    pub profile: String,
    /// Its matching id; `None` for one that is found by the EID.
    pub matching_id: Option<String>,
    /// The confirmation code.
    pub confirmation_code: Option<String>,
    /// The profile.
    pub iccid: Option<Iccid>,
    /// Where it stands.
    pub state: OrderState,
    /// The only card that may have it.
    pub eid: Option<Eid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Spanned<i64>,
    #[serde(default)]
    profile: BTreeMap<Spanned<String>, ProfileTable>,
    #[serde(default)]
    order: Vec<OrderTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileTable {
    #[serde(default)]
    profile_type: Option<Spanned<String>>,
    #[serde(default)]
    iccids: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    provider: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderTable {
    profile: Spanned<String>,
    #[serde(default)]
    activation_code: Option<Spanned<String>>,
    #[serde(default)]
    confirmation_code: Option<String>,
    #[serde(default)]
    iccid: Option<Spanned<String>>,
    #[serde(default)]
    state: OrderState,
    #[serde(default)]
    eid: Option<Spanned<String>>,
}

/// Something in the file that is wrong: its line and the words.
type Wrong = (usize, String);

impl Stock {
    /// Reads the file of a server at this address. The error names the line.
    pub fn from_toml(text: &str, server: &ServerAddress, known: &[String]) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        Stock::of(file, server, known).map_err(|(at, what)| {
            let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
            format!("line {line}: {what}")
        })
    }

    fn of(file: File, server: &ServerAddress, known: &[String]) -> Result<Self, Wrong> {
        if *file.format.get_ref() != 1 {
            let format = file.format.get_ref();
            return Err((file.format.span().start, format!("the format is {format}; this program reads format 1")));
        }
        let known_name = |name: &Spanned<String>| match known.contains(name.get_ref()) {
            true => Ok(name.get_ref().clone()),
            false => {
                let near = nearest(name.get_ref(), known.iter().map(String::as_str));
                let hint = match near {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("there are {}", known.join(", ")),
                };
                Err((name.span().start, format!("scenarios have no profile {:?}; {hint}", name.get_ref())))
            }
        };
        let mut profiles = BTreeMap::new();
        for (name, table) in file.profile {
            let by = match (table.profile_type, table.iccids) {
                (Some(kind), None) => OrderedBy::Type(kind.into_inner()),
                (None, Some(list)) => OrderedBy::Iccids(list.iter().map(iccid).collect::<Result<_, _>>()?),
                _ => {
                    let name_of = name.get_ref();
                    let told = format!("{name_of} needs exactly one of `profile_type` and `iccids`");
                    return Err((name.span().start, told));
                }
            };
            profiles.insert(known_name(&name)?, StockProfile { by, name: table.name, provider: table.provider });
        }
        let mut orders: Vec<StockOrder> = Vec::new();
        for table in file.order {
            let at = table.profile.span().start;
            let profile = known_name(&table.profile)?;
            let eid = match &table.eid {
                None => None,
                Some(text) => Some(Eid::parse(text.get_ref()).map_err(|error| (text.span().start, error.to_string()))?),
            };
            let matching_id = match &table.activation_code {
                None => None,
                Some(text) => Some(matching_id(text, server, table.confirmation_code.is_some())?),
            };
            if matching_id.is_none() && eid.is_none() {
                let told = "an order needs its `activation_code`, or the `eid` by which the server finds it";
                return Err((at, told.to_owned()));
            }
            if matching_id.is_some() && orders.iter().any(|order| order.matching_id == matching_id) {
                let text = table.activation_code.as_ref().map_or(at, |text| text.span().start);
                return Err((text, "this activation code is there twice".to_owned()));
            }
            orders.push(StockOrder {
                profile,
                matching_id,
                confirmation_code: table.confirmation_code,
                iccid: table.iccid.as_ref().map(iccid).transpose()?,
                state: table.state,
                eid,
            });
        }
        Ok(Stock { profiles, orders })
    }
}

fn iccid(text: &Spanned<String>) -> Result<Iccid, Wrong> {
    Iccid::parse(text.get_ref().trim_end_matches(['F', 'f'])).map_err(|error| (text.span().start, error.to_string()))
}

fn matching_id(text: &Spanned<String>, server: &ServerAddress, has_code: bool) -> Result<String, Wrong> {
    let wrong = |what: String| (text.span().start, what);
    let code = ActivationCode::parse(text.get_ref()).map_err(|error| wrong(error.to_string()))?;
    let own = code.smdp.as_str().strip_suffix(":443").unwrap_or(code.smdp.as_str());
    if own != server.as_str() {
        return Err(wrong(format!("this activation code is one of {own}, and --smdp names {server}")));
    }
    if code.confirmation_code_required && !has_code {
        return Err(wrong("this activation code asks for a confirmation code: add `confirmation_code`".to_owned()));
    }
    Ok(code.matching_id.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Stock, String> {
        let known = ["operator-a", "operator-b"].map(str::to_owned);
        Stock::from_toml(text, &ServerAddress::parse("smdp.example.com").unwrap(), &known)
    }

    #[test]
    fn profiles_and_orders() {
        let stock = read(
            r#"
            format = 1
            [profile.operator-a]
            profile_type = "Basic"
            name = "Basic 5G"
            [profile.operator-b]
            iccids = ["8999901000000000013F", "8999902000000000012"]
            [[order]]
            profile = "operator-a"
            activation_code = "LPA:1$smdp.example.com$AB-12$1.3.6.1$1"
            confirmation_code = "1234"
            [[order]]
            profile = "operator-b"
            activation_code = "1$smdp.example.com:443$USED"
            state = "installed"
            [[order]]
            profile = "operator-b"
            eid = "89049032123451234512345678901235"
            "#,
        )
        .unwrap();
        assert_eq!(stock.profiles["operator-a"].by, OrderedBy::Type("Basic".to_owned()));
        assert!(matches!(&stock.profiles["operator-b"].by, OrderedBy::Iccids(list) if list.len() == 2));
        assert_eq!(stock.orders[0].matching_id.as_deref(), Some("AB-12"));
        assert_eq!((stock.orders[1].state, stock.orders[0].state), (OrderState::Installed, OrderState::Released));
        assert_eq!(stock.orders[2].matching_id, None);
    }

    #[test]
    fn the_example_of_the_scenarios_page_is_read() {
        let page = include_str!("../../../scenarios/README.md");
        let (_, after) = page.split_once("## Against a real server").unwrap();
        let (_, after) = after.split_once("```toml\n").unwrap();
        let stock = read(after.split_once("```").unwrap().0).unwrap();
        assert_eq!((stock.profiles.len(), stock.orders.len()), (1, 1));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, parts) in [
            ("format = 2", &["line 1", "reads format 1"][..]),
            ("[profile.operator-a]\nprofile_type = 'x'", &["missing field `format`"]),
            ("format = 1\n[profile.operator-a]\n", &["line 2", "exactly one of"]),
            ("format = 1\n[profile.operator-c]\nprofile_type = 'x'", &["line 2", "did you mean operator-a?"]),
            ("format = 1\n[profile.other]\nprofile_type = 'x'", &["line 2", "; there are operator-a, operator-b"]),
            ("format = 1\n[profile.operator-a]\niccids = ['12']", &["line 3", "ICCID"]),
            ("format = 1\n[[order]]\nprofile = 'operator-a'\n", &["line 3", "needs its `activation_code`"]),
            ("format = 1\n[[order]]\nprofile = 'operator-a'\nactivation_code = 'x'\n", &["line 4", "activation code"]),
            (
                "format = 1\n[[order]]\nprofile = 'operator-a'\nactivation_code = '1$other.example.com$A'\n",
                &["line 4", "one of other.example.com, and --smdp names smdp.example.com"],
            ),
            (
                "format = 1\n[[order]]\nprofile = 'operator-a'\nactivation_code = '1$smdp.example.com$A$$1'\n",
                &["line 4", "add `confirmation_code`"],
            ),
            (
                "format = 1\n[[order]]\nprofile = 'operator-a'\nactivation_code = '1$smdp.example.com$A'\n\
                 [[order]]\nprofile = 'operator-a'\nactivation_code = '1$smdp.example.com$A'\n",
                &["line 7", "twice"],
            ),
            ("format = 1\n[[order]]\nprofil = 'operator-a'\n", &["unknown field `profil`", "expected one of"]),
            (
                "format = 1\n[[order]]\nprofile = 'operator-a'\nstate = 'done'\n",
                &["unknown variant `done`", "released"],
            ),
        ] {
            let told = read(text).unwrap_err();
            assert!(parts.iter().all(|part| told.contains(part)), "{text}\n{told}");
        }
    }
}
