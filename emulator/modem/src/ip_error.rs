//! Errors of the module's own TCP/IP and TLS stack: what `+QIGETERROR` tells (EC200U&EG915U SSL AN 1.1, table 4; TCP/IP
//! AN 1.1, table 2, which is the same but for the last one).

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// An error of the module's own stack.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum IpError {
            $($(#[$doc])* $name,)*
        }

        impl IpError {
            /// Every one of them.
            pub const ALL: &[IpError] = &[$(IpError::$name),*];

            /// The number.
            pub fn code(self) -> u16 {
                match self { $(IpError::$name => $code,)* }
            }

            /// The description that goes with it.
            pub fn text(self) -> &'static str {
                match self { $(IpError::$name => $text,)* }
            }
        }
    };
}

errors! {
    /// No other code tells.
    Unknown = 550, "Unknown error";
    /// The lab does not let this module reach that address.
    Blocked = 551, "Operation blocked";
    /// A parameter that breaks its rule.
    InvalidParameter = 552, "Invalid parameter";
    /// There is no room for more.
    MemoryNotEnough = 553, "Memory not enough";
    /// The host gives no socket.
    CreateFailed = 554, "Create socket failed";
    /// This module cannot do it.
    NotSupported = 555, "Operation not supported";
    /// The local port is taken.
    BindFailed = 556, "Socket bind failed";
    /// The host does not let it listen.
    ListenFailed = 557, "Socket listen failed";
    /// Sending has failed.
    WriteFailed = 558, "Socket write failed";
    /// Receiving has failed.
    ReadFailed = 559, "Socket read failed";
    /// Taking a connection has failed.
    AcceptFailed = 560, "Socket accept failed";
    /// The context does not become active.
    OpenContextFailed = 561, "Open PDP context failed";
    /// The context does not become inactive.
    CloseContextFailed = 562, "Close PDP context failed";
    /// The socket index is taken.
    IdentityUsed = 563, "Socket identity has been used";
    /// A name is being looked up already.
    DnsBusy = 564, "DNS busy";
    /// The name has no address.
    DnsFailed = 565, "DNS parse failed";
    /// The other side does not take the connection.
    ConnectFailed = 566, "Socket connection failed";
    /// The connection has ended.
    SocketClosed = 567, "Socket has been closed";
    /// Something else has to end first.
    Busy = 568, "Operation busy";
    /// It has taken too long.
    Timeout = 569, "Operation timeout";
    /// The context went while it was needed.
    ContextBroken = 570, "PDP context break down";
    /// The host has given up sending.
    SendCancelled = 571, "Cancel send";
    /// Not in this state.
    NotAllowed = 572, "Operation not allowed";
    /// The context has no access point.
    ApnNotConfigured = 573, "APN not configured";
    /// The port is taken by another connection.
    PortBusy = 574, "Port busy";
    /// The TLS handshake has failed.
    HandshakeFailed = 579, "SSL handshake fail";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<u16> = IpError::ALL.iter().map(|error| error.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), IpError::ALL.len());
        assert!(codes.is_sorted());
    }
}
