//! What the operator sees of a device: the events of its log, and the connectivity state that follows from them.

use std::fmt;

use super::Technology;

/// What an event is about. The names are those of the operator's event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The SIM card authenticates with a network element for calls and messages.
    UpdateLocation,
    /// The SIM card registers with a network element for data sessions.
    UpdateGprsLocation,
    /// A data session begins.
    CreatePdpContext,
    /// A data session ends.
    DeletePdpContext,
    /// The operator has a device registered anew.
    CancelLocation,
    /// A text message goes to the device.
    Sms,
    /// The operator changes what the subscription may do.
    Policy,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 7] = [
        EventKind::UpdateLocation,
        EventKind::UpdateGprsLocation,
        EventKind::CreatePdpContext,
        EventKind::DeletePdpContext,
        EventKind::CancelLocation,
        EventKind::Sms,
        EventKind::Policy,
    ];

    /// The name in the event log.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::UpdateLocation => "Update Location",
            EventKind::UpdateGprsLocation => "Update GPRS location",
            EventKind::CreatePdpContext => "Create PDP context",
            EventKind::DeletePdpContext => "Delete PDP context",
            EventKind::CancelLocation => "Cancel Location",
            EventKind::Sms => "SMS MT",
            EventKind::Policy => "Policy",
        }
    }
}

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Something was refused.
    Warn,
}

impl Severity {
    /// The word in the event log.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "Info",
            Severity::Warn => "Warn",
        }
    }
}

/// One event of the operator's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEvent {
    /// What it is about.
    pub kind: EventKind,
    /// The subscriber.
    pub imsi: String,
    /// The network in which the device is: its PLMN and name.
    pub operator: Option<(String, String)>,
    /// The radio access.
    pub technology: Option<Technology>,
    /// The access point name, of a data session.
    pub apn: Option<String>,
    /// Why it was refused, in the words of the specification with the number of the cause; `None` when it was not.
    pub rejected: Option<String>,
    /// What else there is to tell: what to do about a refusal, the address of a session, the bytes it has carried.
    pub description: String,
}

impl NetworkEvent {
    /// How grave it is.
    pub fn severity(&self) -> Severity {
        if self.rejected.is_some() { Severity::Warn } else { Severity::Info }
    }

    /// Its name, and whether it was rejected: `Create PDP context rejected`.
    pub fn title(&self) -> String {
        let rejected = if self.rejected.is_some() { " rejected" } else { "" };
        format!("{}{rejected}", self.kind.name())
    }

    /// The particulars, by name.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("severity", self.severity().name().to_owned()), ("imsi", self.imsi.clone())];
        if let Some((plmn, name)) = &self.operator {
            fields.push(("operator", format!("{name} ({plmn})")));
        }
        fields.extend(self.technology.map(|technology| ("technology", technology.name().to_owned())));
        fields.extend(self.apn.clone().map(|apn| ("apn", apn)));
        fields.extend(self.rejected.clone().map(|cause| ("cause", cause)));
        if !self.description.is_empty() {
            fields.push(("description", self.description.clone()));
        }
        fields
    }
}

/// The connectivity state of a device, as the operator's console shows it. It follows from the events: a device that
/// is switched off while it is attached stays attached there, because nothing tells the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Connectivity {
    /// Nothing was seen of it yet, or its data session has ended.
    #[default]
    Offline,
    /// It is attached to a network and can receive messages.
    Attached,
    /// It has a data session.
    Online,
    /// The operator has blocked it.
    Blocked,
}

impl Connectivity {
    /// All of them.
    pub const ALL: [Connectivity; 4] =
        [Connectivity::Offline, Connectivity::Attached, Connectivity::Online, Connectivity::Blocked];

    /// The name, as the console shows it.
    pub fn name(self) -> &'static str {
        match self {
            Connectivity::Offline => "Offline",
            Connectivity::Attached => "Attached",
            Connectivity::Online => "Online",
            Connectivity::Blocked => "Blocked",
        }
    }
}

impl fmt::Display for Connectivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
