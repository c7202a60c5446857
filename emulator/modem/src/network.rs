//! The network around the modem, as far as there is one: the home network of the subscription, which lets it in, and
//! one other, which does not. Registration follows from the card and from `+CFUN`, and is told by URCs.

use crate::sim::Home;

/// `<stat>` of TS 27.007 §7.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Registration {
    #[default]
    NotRegistered = 0,
    Home = 1,
    Denied = 3,
}

/// The four registrations and their commands (TS 27.007 §7.2, §10.1.20, §10.1.22, §10.1.47).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// `+CREG`
    Circuit,
    /// `+CGREG`
    Packet,
    /// `+CEREG`
    Evolved,
    /// `+C5GREG`
    Fifth,
}

impl Domain {
    const ALL: [Domain; 4] = [Domain::Circuit, Domain::Packet, Domain::Evolved, Domain::Fifth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Domain::Circuit => "+CREG",
            Domain::Packet => "+CGREG",
            Domain::Evolved => "+CEREG",
            Domain::Fifth => "+C5GREG",
        }
    }
}

/// How a network is chosen (TS 27.007 §7.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Selection {
    #[default]
    Automatic,
    Manual(String),
    /// Manual, and automatic when that fails.
    Either(String),
    Deregistered,
}

/// The access technology of TS 27.007 §7.3: E-UTRAN.
pub(crate) const E_UTRAN: u8 = 7;

/// Area code and cell identity of the one cell.
pub(crate) const AREA: u16 = 0x1A2D;
pub(crate) const CELL: u32 = 0x01A2_D001;

/// The network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Network {
    home: Option<Home>,
    pub(crate) selection: Selection,
    /// `<format>` of `+COPS`.
    pub(crate) format: u8,
    registration: Registration,
    /// `<n>` of each registration command.
    reports: [u8; 4],
}

/// A network that can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// TS 27.007 §7.3: 1 available, 2 current, 3 forbidden.
    pub(crate) status: u8,
    pub(crate) name: String,
    pub(crate) plmn: String,
}

impl Network {
    /// What a restart of the module leaves: reports are off, the choice of the network stays.
    pub(crate) fn restart(&mut self) {
        *self = Network { selection: self.selection.clone(), format: self.format, ..Network::default() };
    }

    /// Follows the subscription, which is `None` without card or radio. Gives the URCs that tell of a change.
    pub(crate) fn update(&mut self, home: Option<Home>) -> Vec<String> {
        self.home = home;
        let registration = match (&self.home, &self.selection) {
            (None, _) | (_, Selection::Deregistered) => Registration::NotRegistered,
            (Some(_), Selection::Automatic | Selection::Either(_)) => Registration::Home,
            (Some(home), Selection::Manual(plmn)) if home.plmn == *plmn => Registration::Home,
            (Some(_), Selection::Manual(_)) => Registration::Denied,
        };
        if std::mem::replace(&mut self.registration, registration) == registration {
            return Vec::new();
        }
        Domain::ALL
            .into_iter()
            .filter(|domain| self.report(*domain) > 0 && *domain != Domain::Fifth)
            .map(|domain| format!("{}: {}", domain.name(), self.status(domain, self.report(domain))))
            .collect()
    }

    pub(crate) fn report(&self, domain: Domain) -> u8 {
        self.reports[domain as usize]
    }

    pub(crate) fn set_report(&mut self, domain: Domain, value: u8) {
        self.reports[domain as usize] = value;
    }

    /// `<stat>[,<lac>,<ci>,<AcT>]`. The cell is one of E-UTRAN: there is no registration in 5GS beside it.
    pub(crate) fn status(&self, domain: Domain, report: u8) -> String {
        match (domain, self.registration) {
            (Domain::Fifth, _) => "0".to_owned(),
            (_, Registration::Home) if report >= 2 => format!("1,\"{AREA:04X}\",\"{CELL:07X}\",{E_UTRAN}"),
            (_, registration) => (registration as u8).to_string(),
        }
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registration == Registration::Home
    }

    /// The network that the modem is registered in.
    pub(crate) fn serving(&self) -> Option<&Home> {
        self.home.as_ref().filter(|_| self.is_registered())
    }

    /// What a scan finds (TS 27.007 §7.3).
    pub(crate) fn scan(&self) -> Vec<Operator> {
        let other = Operator { status: 3, name: "Other Network".to_owned(), plmn: "00199".to_owned() };
        let home = self.home.as_ref().map(|home| Operator {
            status: if self.is_registered() { 2 } else { 1 },
            name: home.name.clone(),
            plmn: home.plmn.clone(),
        });
        home.into_iter().chain([other]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_follows() {
        let home = Home { plmn: "00101".to_owned(), name: "Test".to_owned() };
        let mut network = Network::default();
        network.set_report(Domain::Circuit, 1);
        network.set_report(Domain::Evolved, 2);
        assert_eq!(network.update(Some(home.clone())), ["+CREG: 1", "+CEREG: 1,\"1A2D\",\"1A2D001\",7"]);
        assert!(network.update(Some(home.clone())).is_empty());
        network.selection = Selection::Manual("00199".to_owned());
        assert_eq!(network.update(Some(home.clone())), ["+CREG: 3", "+CEREG: 3"]);
        assert_eq!(network.scan()[0].status, 1);
        network.selection = Selection::Automatic;
        let _ = network.update(Some(home));
        assert_eq!(network.update(None), ["+CREG: 0", "+CEREG: 0"]);
        assert!(network.serving().is_none());
    }
}
