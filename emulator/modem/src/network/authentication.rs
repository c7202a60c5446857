//! The operators' authentication centre: who a card is has to be proved (TS 33.102 §6.3, TS 33.401 §6.1).
//!
//! ```text
//! keys of the subscription ─▶ challenge: RAND, AUTN ─▶ device ─▶ card: AUTHENTICATE
//!        sequence number   ◀─ AUTS, once            ◀─        ◀─ RES, AUTS, or the MAC is wrong
//! ```
//!
//! Keys come from the description of the network ([`SubscriptionSpec`]), or from whoever has made the profiles
//! ([`SubscriberKeys`]). Where there are none the network believes the card.

use std::collections::BTreeMap;
use std::fmt;

use rsp::aka::{Aka, IND_BITS};
use rsp::crypto::{Random, SeededRandom, equal_in_constant_time};
use zeroize::Zeroizing;

use super::cause::{AuthenticationCause, MobilityCause};
use super::spec::{NetworkSpec, SubscriptionSpec};
use super::{Subscriber, Technology};

/// What the home operator knows of the profiles that it has made.
pub trait SubscriberKeys: Send {
    /// The key, and what belongs to it, of the profile with this ICCID (without padding); `None` for one that the
    /// operator does not know.
    fn of(&mut self, iccid: &str) -> Option<Aka>;
}

/// The operators around a modem: the network that is described, and what only they know.
pub struct Operators {
    /// What there is.
    pub spec: NetworkSpec,
    /// The keys of the profiles, as far as the description does not tell them; with none the network believes every
    /// card.
    pub keys: Option<Box<dyn SubscriberKeys>>,
    /// Where challenges and temporary identities come from.
    pub random: Box<dyn Random>,
}

impl From<NetworkSpec> for Operators {
    /// Operators that do not know any keys; what is random is the same each time.
    fn from(spec: NetworkSpec) -> Self {
        Operators { spec, keys: None, random: Box::new(SeededRandom::new(0, "operators")) }
    }
}

impl Default for Operators {
    fn default() -> Self {
        NetworkSpec::default().into()
    }
}

/// What a card says to a challenge, as the device tells the network (TS 31.102 §7.1.2, TS 24.301 §5.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CardAnswer {
    /// RES.
    Response(Zeroizing<Vec<u8>>),
    /// The challenge is not new: AUTS.
    SynchronisationFailure([u8; 14]),
    /// The MAC in AUTN is not that of the card's keys.
    MacFailure,
    /// The card does not do it.
    Nothing,
}

/// How a registration stands with authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authenticated {
    /// The card has proved that it is the subscription's.
    Proved,
    /// The same, at the second try: the card had seen a higher sequence number.
    Synchronised,
    /// The operator has no keys of this card.
    NotAsked,
}

impl Authenticated {
    /// In words, for the operator's log.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Authenticated::Proved => "the card was authenticated",
            Authenticated::Synchronised => {
                "the card was authenticated, after resynchronisation: it had seen a higher sequence number (AUTS)"
            }
            Authenticated::NotAsked => "the card was not authenticated: the operator does not have its keys",
        }
    }
}

/// A card that is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthenticated {
    /// What the device is told.
    pub(crate) told: MobilityCause,
    /// What the device had told before, when it had.
    pub(crate) because: Option<AuthenticationCause>,
}

/// Keys and sequence numbers.
pub(super) struct AuthenticationCentre {
    keys: Option<Box<dyn SubscriberKeys>>,
    random: Box<dyn Random>,
    /// The last sequence number of each key, by the ICCID of its card (several IMSIs may have one), or by the IMSI when
    /// there is none. IND is in its lowest bits.
    numbers: BTreeMap<String, u64>,
}

impl fmt::Debug for AuthenticationCentre {
    /// Prints no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationCentre").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}

impl AuthenticationCentre {
    pub(super) fn new(keys: Option<Box<dyn SubscriberKeys>>, random: Box<dyn Random>) -> Self {
        AuthenticationCentre { keys, random, numbers: BTreeMap::new() }
    }

    /// An identity for the time being, not 0 and not all ones.
    pub(super) fn temporary_identity(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        // TS 23.003 §2.4, §2.8.2.1.2: the two bits in front tell that it is of LTE; all ones stand for none.
        (u32::from_be_bytes(bytes) & 0x3FFF_FFFE) | 0xC000_0000
    }

    /// Has a card prove that it is the subscription's.
    pub(super) fn authenticate(
        &mut self,
        policy: &SubscriptionSpec,
        subscriber: &Subscriber,
        technology: Technology,
        card: &mut dyn FnMut(&[u8; 16], &[u8; 16]) -> CardAnswer,
    ) -> Result<Authenticated, NotAuthenticated> {
        let of_profile = |keys: &mut Box<dyn SubscriberKeys>| keys.of(subscriber.iccid.as_deref()?);
        let known = policy.keys.as_ref().map(|keys| keys.0.clone());
        let Some(aka) = known.or_else(|| self.keys.as_mut().and_then(of_profile)) else {
            return Ok(Authenticated::NotAsked);
        };
        // TS 33.401 §6.1.2, TS 33.501 §6.1.3: the separation bit of AMF is for these networks only.
        let amf = if technology.is_evolved() || technology == Technology::Nr { [0x80, 0] } else { [0, 0] };
        let refused = |told, because| Err(NotAuthenticated { told, because });
        let card_name = subscriber.iccid.as_ref().unwrap_or(&subscriber.imsi);
        let mut synchronised = false;
        loop {
            let mut rand = [0; 16];
            self.random.fill(&mut rand);
            let number = self.next_number(card_name);
            let challenge = aka.challenge(&rand, number, amf);
            match card(&rand, &challenge.autn) {
                CardAnswer::Response(response) if equal_in_constant_time(&response, &challenge.expected) => {
                    return Ok(if synchronised { Authenticated::Synchronised } else { Authenticated::Proved });
                }
                // TS 24.301 §5.4.2.5, TS 24.008 §4.3.2.5: AUTHENTICATION REJECT, which is as good as illegal UE.
                CardAnswer::Response(_) => return refused(MobilityCause::IllegalUe, None),
                // TS 24.301 §5.4.2.7 c: the IMSI has been told, so that it is the card that does not fit.
                CardAnswer::MacFailure => {
                    return refused(MobilityCause::IllegalUe, Some(AuthenticationCause::MacFailure));
                }
                // TS 24.301 §5.4.2.7 e, TS 33.102 §6.3.5: once more, with the number that the card wants to see.
                CardAnswer::SynchronisationFailure(auts) => match aka.resynchronised(&rand, &auts) {
                    Some(seen) if !synchronised => {
                        self.numbers.insert(card_name.clone(), seen);
                        synchronised = true;
                    }
                    _ => return refused(MobilityCause::IllegalUe, Some(AuthenticationCause::SynchFailure)),
                },
                CardAnswer::Nothing => return refused(MobilityCause::NetworkFailure, None),
            }
        }
    }

    /// TS 33.102 annex C.1.1.1, C.3.2: SEQ counts up with each challenge, and IND goes round.
    fn next_number(&mut self, card_name: &str) -> u64 {
        const HIGHEST: u64 = (1 << 48) - 1;
        let number = self.numbers.entry(card_name.to_owned()).or_default();
        let indices = 1 << IND_BITS;
        let index = (*number + 1) % indices;
        *number = (((*number >> IND_BITS) + 1) << IND_BITS | index) & HIGHEST;
        *number
    }
}

#[cfg(test)]
mod tests {
    use rsp::aka::{AlgorithmName, Outcome};

    use super::*;
    use crate::sim::Home;

    const KEY: [u8; 16] = [0x46; 16];
    const OPC: [u8; 16] = [0xCD; 16];

    fn aka(key: [u8; 16]) -> Aka {
        Aka::from_keys(AlgorithmName::Milenage, &key, &OPC).unwrap()
    }

    struct Known;

    impl SubscriberKeys for Known {
        fn of(&mut self, iccid: &str) -> Option<Aka> {
            (iccid == "8988247000000000017").then(|| aka(KEY))
        }
    }

    fn subscriber(iccid: &str) -> Subscriber {
        Subscriber {
            imsi: "001010123456789".to_owned(),
            iccid: Some(iccid.to_owned()),
            home: Home { plmn: "00101".to_owned(), name: "Test".to_owned() },
            imei: "490154203237518".to_owned(),
        }
    }

    fn centre() -> AuthenticationCentre {
        AuthenticationCentre::new(Some(Box::new(Known)), Box::new(SeededRandom::new(1, "test")))
    }

    /// A card with this key.
    fn card(key: [u8; 16], seen: &mut [u64; 32]) -> impl FnMut(&[u8; 16], &[u8; 16]) -> CardAnswer {
        move |rand, autn| match aka(key).authenticate(rand, autn, seen) {
            Outcome::Success { res, .. } => CardAnswer::Response(res),
            Outcome::SynchronisationFailure(auts) => CardAnswer::SynchronisationFailure(auts),
            Outcome::MacFailure => CardAnswer::MacFailure,
        }
    }

    fn ask(
        centre: &mut AuthenticationCentre,
        card: &mut dyn FnMut(&[u8; 16], &[u8; 16]) -> CardAnswer,
    ) -> Result<Authenticated, NotAuthenticated> {
        centre.authenticate(&SubscriptionSpec::default(), &subscriber("8988247000000000017"), Technology::Lte, card)
    }

    #[test]
    fn a_card_proves_itself() {
        let (mut centre, mut seen) = (centre(), [0; 32]);
        for _ in 0..100 {
            assert_eq!(ask(&mut centre, &mut card(KEY, &mut seen)), Ok(Authenticated::Proved));
        }
        // The card has been elsewhere; the centre follows.
        seen = [0x1_0000; 32];
        assert_eq!(ask(&mut centre, &mut card(KEY, &mut seen)), Ok(Authenticated::Synchronised));
        assert_eq!(ask(&mut centre, &mut card(KEY, &mut seen)), Ok(Authenticated::Proved));
        // Not at all with a card that it does not know.
        let other = subscriber("8988247000000000025");
        let mut nobody = |_: &[u8; 16], _: &[u8; 16]| -> CardAnswer { panic!("it is not asked") };
        let told = centre.authenticate(&SubscriptionSpec::default(), &other, Technology::Lte, &mut nobody);
        assert_eq!(told, Ok(Authenticated::NotAsked));
    }

    #[test]
    fn a_card_that_is_not_the_subscriptions() {
        let refused = |told, because| Err(NotAuthenticated { told, because });
        let mut seen = [0; 32];
        let outcome = ask(&mut centre(), &mut card([0x47; 16], &mut seen));
        assert_eq!(outcome, refused(MobilityCause::IllegalUe, Some(AuthenticationCause::MacFailure)));
        let mut wrong = |_: &[u8; 16], _: &[u8; 16]| CardAnswer::Response(Zeroizing::new(vec![0; 8]));
        assert_eq!(ask(&mut centre(), &mut wrong), refused(MobilityCause::IllegalUe, None));
        let mut silent = |_: &[u8; 16], _: &[u8; 16]| CardAnswer::Nothing;
        assert_eq!(ask(&mut centre(), &mut silent), refused(MobilityCause::NetworkFailure, None));
        // AUTS with a wrong MAC-S, and a right one again and again.
        let synch = refused(MobilityCause::IllegalUe, Some(AuthenticationCause::SynchFailure));
        let mut forged = |_: &[u8; 16], _: &[u8; 16]| CardAnswer::SynchronisationFailure([0; 14]);
        assert_eq!(ask(&mut centre(), &mut forged), synch);
        let mut asked = 0;
        let mut never = |rand: &[u8; 16], autn: &[u8; 16]| {
            asked += 1;
            card(KEY, &mut [asked << 20; 32])(rand, autn)
        };
        assert_eq!(ask(&mut centre(), &mut never), synch);
        assert_eq!(asked, 2);
    }

    /// The separation bit (TS 33.401 §6.1.2).
    #[test]
    fn what_the_challenge_says_of_the_network() {
        for (technology, amf) in
            [(Technology::Gsm, 0), (Technology::Umts, 0), (Technology::NbIot, 0x80), (Technology::Nr, 0x80)]
        {
            let mut told = None;
            let mut look = |_: &[u8; 16], autn: &[u8; 16]| {
                told = Some([autn[6], autn[7]]);
                CardAnswer::Nothing
            };
            let who = subscriber("8988247000000000017");
            let _ = centre().authenticate(&SubscriptionSpec::default(), &who, technology, &mut look);
            assert_eq!(told, Some([amf, 0]), "{technology:?}");
        }
    }
}
