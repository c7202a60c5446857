//! Profile policy rules: which a profile may bring with it (SGP.22 §2.9.2, rules authorisation table) and which
//! are in force (§2.9.3).

use rsp::es10::profiles::{AuthorisationRule, OperatorId};
use rsp::tlv::NamedBits;

use crate::config::ppr;

/// Whether every rule in `wanted` may be set by `owner`.
pub(crate) fn is_authorised(
    wanted: NamedBits,
    owner: Option<&OperatorId>,
    table: &[AuthorisationRule],
    forbidden: NamedBits,
) -> bool {
    // SGP.22 v2.5 §5.5.3: pprUpdateControl means nothing here.
    let known = [ppr::PPR1, ppr::PPR2];
    let unknown = (0..64).any(|bit| wanted.has(bit) && bit != ppr::UPDATE_CONTROL && !known.contains(&bit));
    // SGP.22 v2.5 §2.9.2.4: a rule that is not known cannot be authorised.
    !unknown
        && known.into_iter().filter(|rule| wanted.has(*rule)).all(|rule| {
            // SGP.22 v2.5 §2.9.2.1: a rule that no entry of the table allows to this owner is forbidden. Whether the
            // user has agreed is for the LPA to see to.
            !forbidden.has(rule)
                && owner.is_some_and(|owner| {
                    table.iter().any(|entry| {
                        entry.ppr_ids.has(rule) && entry.allowed_operators.iter().any(|allowed| covers(allowed, owner))
                    })
                })
        })
}

/// Whether the table's operator stands for the profile owner: nibble E matches any digit, an empty group any group,
/// an absent group its absence (SGP.22 v2.5 §2.4a.1.2).
fn covers(allowed: &OperatorId, owner: &OperatorId) -> bool {
    let nibbles = |bytes: [u8; 3]| bytes.into_iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let digits = nibbles(allowed.mcc_mnc).zip(nibbles(owner.mcc_mnc)).all(|(rule, digit)| rule == 0xE || rule == digit);
    let group = |rule: &Option<Vec<u8>>, group: &Option<Vec<u8>>| match rule {
        Some(rule) if rule.is_empty() => true,
        rule => rule == group,
    };
    digits && group(&allowed.gid1, &owner.gid1) && group(&allowed.gid2, &owner.gid2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(mcc_mnc: [u8; 3], gid1: Option<&[u8]>, gid2: Option<&[u8]>) -> OperatorId {
        OperatorId { mcc_mnc, gid1: gid1.map(<[u8]>::to_vec), gid2: gid2.map(<[u8]>::to_vec) }
    }

    #[test]
    fn wildcards() {
        // proves: EUICC.RulesAuthorisationTable
        let owner = operator([0x62, 0xF2, 0x10], Some(&[0x44]), None);
        assert!(covers(&operator([0xEE; 3], Some(&[]), Some(&[])), &owner));
        assert!(covers(&operator([0x62, 0xF2, 0x10], Some(&[0x44]), None), &owner));
        assert!(covers(&operator([0x62, 0xF2, 0xEE], Some(&[]), Some(&[])), &owner));
        assert!(!covers(&operator([0xEE; 3], None, None), &owner));
        assert!(!covers(&operator([0x62, 0xF2, 0x20], Some(&[]), None), &owner));
        assert!(!covers(&operator([0xEE; 3], Some(&[0x45]), None), &owner));
    }

    #[test]
    fn the_example_of_the_specification() {
        // proves: EUICC.RulesAuthorisationTable
        // SGP.22 v2.5 §2.9.2.1: PPR1 for OP-A, PPR2 for OP-B, both for anybody who is in the last line.
        let (op_a, op_b) = (operator([0x62, 0xF2, 0x10], None, None), operator([0x62, 0xF2, 0x20], None, None));
        let entry = |rule, operator: &OperatorId| AuthorisationRule {
            ppr_ids: NamedBits::of(&[rule]),
            allowed_operators: vec![operator.clone()],
            consent_required: false,
        };
        let table = [entry(ppr::PPR1, &op_a), entry(ppr::PPR2, &op_b)];
        let none = NamedBits::default();
        let allowed = |rules: &[u8], owner| is_authorised(NamedBits::of(rules), owner, &table, none);
        assert!(allowed(&[ppr::PPR1], Some(&op_a)));
        assert!(!allowed(&[ppr::PPR2], Some(&op_a)));
        assert!(!allowed(&[ppr::PPR1, ppr::PPR2], Some(&op_a)));
        assert!(allowed(&[ppr::PPR2], Some(&op_b)));
        assert!(!allowed(&[ppr::PPR1], None));
        assert!(!allowed(&[5], Some(&op_a)));
        assert!(allowed(&[], None));
        assert!(allowed(&[ppr::UPDATE_CONTROL], None));
        assert!(!is_authorised(NamedBits::of(&[ppr::PPR1]), Some(&op_a), &table, NamedBits::of(&[ppr::PPR1])));
    }
}
