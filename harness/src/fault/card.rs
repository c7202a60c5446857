//! Faults between the modem and the card.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Armed, CardFunction, Deed, Deeds, Occasion, Trigger};
use crate::scenario::ast::Word;
use crate::timeline::Timeline;

/// What goes wrong with the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardFault {
    /// The command is answered with this status word, and not executed.
    Status(u16),
    /// The command is executed, and its answer is lost.
    NoAnswer,
    /// The card is taken out before the command is executed.
    Removed,
    /// From this command on no memory is free.
    MemoryFull,
    /// The power of card and modem fails at a write of the card's store: what it counts are not commands but writes.
    PowerCut,
}

impl Word for CardFault {
    const ALL: &'static [(&'static str, Self)] = &[
        ("no-answer", CardFault::NoAnswer),
        ("removed", CardFault::Removed),
        ("memory-full", CardFault::MemoryFull),
        ("power-cut", CardFault::PowerCut),
    ];
}

impl fmt::Display for CardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CardFault::Status(status) => write!(f, "answered {status:04X} instead"),
            CardFault::NoAnswer => f.write_str("answer lost"),
            CardFault::Removed => f.write_str("card taken out"),
            CardFault::MemoryFull => f.write_str("no memory is free any more"),
            CardFault::PowerCut => f.write_str("power cut"),
        }
    }
}

/// The faults of a card. A clone is another handle on the same ones: they count on when the card is taken out and put
/// in again.
#[derive(Debug, Clone, Default)]
pub struct CardFaults(Arc<Mutex<Vec<Armed<CardFault>>>>);

impl CardFaults {
    /// Sets faults. A power cut is none of them: it is at the store, see [`cut`](super::cut).
    pub fn new(faults: Vec<(CardFault, Trigger)>) -> Self {
        let of_commands = faults.into_iter().filter(|(fault, _)| *fault != CardFault::PowerCut);
        CardFaults(Arc::new(Mutex::new(of_commands.map(|(fault, trigger)| Armed::new(fault, trigger)).collect())))
    }
}

/// What a wrapper needs of the card beside its contacts.
pub trait Inside: Send {
    /// Makes no memory free any more.
    fn fill_memory(&self);
    /// Whether its power has failed at a write.
    fn has_lost_power(&self) -> bool;
    /// Gives it power anew: it begins with what its store has kept.
    fn give_power(&self);
}

/// A card with faults around it.
pub struct FaultyCard<C, I> {
    card: C,
    inside: I,
    faults: CardFaults,
    timeline: Timeline,
    deeds: Deeds,
    start: Instant,
    bytes: u64,
    /// It has no contact, or no power.
    is_dead: bool,
}

impl<C: modem::Card, I: Inside> FaultyCard<C, I> {
    /// Puts these faults around a card.
    pub fn new(card: C, inside: I, faults: CardFaults, timeline: Timeline, deeds: Deeds) -> Self {
        FaultyCard { card, inside, faults, timeline, deeds, start: Instant::now(), bytes: 0, is_dead: false }
    }

    fn fault(&mut self, apdu: &[u8]) -> Option<CardFault> {
        let command = rsp::ids::to_hex(apdu);
        let function = CardFunction::of(apdu);
        let occasion = Occasion { command: &command, function, elapsed: self.start.elapsed(), bytes: self.bytes };
        self.bytes += apdu.len() as u64;
        let mut fired = None;
        for armed in self.faults.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if armed.fires(occasion) && fired.is_none() {
                fired = Some(armed.action);
            }
        }
        let at = function.map(|function| format!(" at {}", function.word())).unwrap_or_default();
        if let Some(fault) = fired {
            self.timeline.fault("card", format!("{fault}{at}"));
        }
        fired
    }

    fn dies(&mut self, deed: Deed) -> Vec<u8> {
        self.is_dead = true;
        self.deeds.ask(deed);
        Vec::new()
    }
}

impl<C: modem::Card, I: Inside> modem::Card for FaultyCard<C, I> {
    fn reset(&mut self) -> Vec<u8> {
        if self.inside.has_lost_power() {
            self.inside.give_power();
        }
        self.is_dead = false;
        self.card.reset()
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        if self.is_dead {
            return Vec::new();
        }
        match self.fault(apdu) {
            Some(CardFault::Status(status)) => return status.to_be_bytes().to_vec(),
            Some(CardFault::Removed) => return self.dies(Deed::RemoveCard),
            Some(CardFault::MemoryFull) => self.inside.fill_memory(),
            Some(CardFault::NoAnswer) => {
                self.card.transmit(apdu);
                return Vec::new();
            }
            Some(CardFault::PowerCut) | None => {}
        }
        let response = self.card.transmit(apdu);
        if self.inside.has_lost_power() {
            self.timeline.fault("card", format!("{} at a write of its store", CardFault::PowerCut));
            return self.dies(Deed::ResetModem);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use modem::Card as _;

    use super::*;

    /// A card that answers 9000 and remembers what it was told.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<Vec<u8>>>>);

    impl modem::Card for Recorder {
        fn reset(&mut self) -> Vec<u8> {
            vec![0x3B]
        }

        fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
            self.0.lock().unwrap().push(apdu.to_vec());
            vec![0x90, 0x00]
        }
    }

    #[derive(Clone, Default)]
    struct Switch(Arc<Mutex<(bool, bool)>>);

    impl Inside for Switch {
        fn fill_memory(&self) {
            self.0.lock().unwrap().0 = true;
        }

        fn has_lost_power(&self) -> bool {
            self.0.lock().unwrap().1
        }

        fn give_power(&self) {
            self.0.lock().unwrap().1 = false;
        }
    }

    const APDU: [u8; 5] = [0x80, 0xCA, 0x00, 0x5A, 0x00];

    #[test]
    fn each_fault_does_what_it_says_and_is_told() {
        let second = || Trigger { nth: 2, count: Some(1), ..Trigger::default() };
        let run = |fault| {
            let (recorder, switch, timeline) = (Recorder::default(), Switch::default(), Timeline::new());
            let deeds = Deeds::default();
            let faults = CardFaults::new(vec![(fault, second())]);
            let mut card = FaultyCard::new(recorder.clone(), switch.clone(), faults, timeline.clone(), deeds.clone());
            let answers: Vec<String> = (0..3).map(|_| rsp::ids::to_hex(&card.transmit(&APDU))).collect();
            card.reset();
            let after = rsp::ids::to_hex(&card.transmit(&APDU));
            let told = timeline.snapshot().iter().map(|event| event.kind.to_string()).collect::<Vec<_>>().join("|");
            let heard = recorder.0.lock().unwrap().len();
            (answers.join(","), after, heard, deeds.take().pop(), told, switch.0.lock().unwrap().0)
        };
        let ok = "9000".to_owned();
        let told = |text: &str| format!("FAULT card: {text}");
        assert_eq!(
            run(CardFault::Status(0x6A88)),
            ("9000,6A88,9000".into(), ok.clone(), 3, None, told("answered 6A88 instead"), false)
        );
        assert_eq!(run(CardFault::NoAnswer), ("9000,,9000".into(), ok.clone(), 4, None, told("answer lost"), false));
        assert_eq!(
            run(CardFault::Removed),
            ("9000,,".into(), ok.clone(), 2, Some(Deed::RemoveCard), told("card taken out"), false)
        );
        assert_eq!(
            run(CardFault::MemoryFull),
            ("9000,9000,9000".into(), ok, 4, None, told("no memory is free any more"), true)
        );
    }

    #[test]
    fn a_card_without_power_is_silent_until_it_is_reset() {
        let (switch, timeline) = (Switch::default(), Timeline::new());
        let deeds = Deeds::default();
        let mut card =
            FaultyCard::new(Recorder::default(), switch.clone(), CardFaults::default(), timeline, deeds.clone());
        assert_eq!(card.transmit(&APDU), [0x90, 0x00]);
        switch.0.lock().unwrap().1 = true;
        assert_eq!((card.transmit(&APDU), card.transmit(&APDU)), (vec![], vec![]));
        assert_eq!(deeds.take(), [Deed::ResetModem]);
        card.reset();
        assert_eq!(card.transmit(&APDU), [0x90, 0x00]);
    }
}
