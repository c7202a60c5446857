//! Managing what is installed: profiles, notifications, memory (SGP.22 §5.7.9 to §5.7.11, §5.7.15 to §5.7.21).

use rsp::Iccid;
use rsp::crypto::Curve;
use rsp::es10::download::NotificationConfiguration;
use rsp::es10::notification::{
    NotificationEvent, NotificationSearch, PendingNotification, encode_list_request, encode_remove_request,
    encode_retrieve_request, parse_list_response, parse_retrieve_response,
};
use rsp::es10::profiles::{
    GetProfilesInfoRequest, ProfileClass, ProfileId, ProfileInfo, ProfileSearch, ProfileState, SwitchRequest,
    TAG_DELETE_PROFILE, TAG_DISABLE_PROFILE, TAG_ENABLE_PROFILE, TAG_MEMORY_RESET, TAG_SET_NICKNAME,
    encode_delete_request, encode_memory_reset_request, encode_set_nickname_request, parse_profiles_info_response,
    parse_result,
};
use rsp::ids::{from_hex, to_hex};
use rsp::tlv::{NamedBits, Tag};

use super::lab::*;
use crate::{CardEvent, PreinstalledProfile};

const A: &str = "8988247000111763810";
const B: &str = "8988247000111763811";
const C: &str = "8988247000111763812";

fn iccid(text: &str) -> Iccid {
    Iccid::parse(text).unwrap()
}

/// A card with these profiles: ICCID, class, policy rules, enabled or not.
fn lab_with(profiles: &[(&str, ProfileClass, &[u8], bool)]) -> Lab {
    let mut config = config(&[Curve::P256]);
    for (text, class, rules, enabled) in profiles {
        let mut metadata = metadata(text);
        metadata.profile_class = *class;
        metadata.profile_policy_rules = (!rules.is_empty()).then(|| NamedBits::of(rules));
        let mut elements = elements(text);
        elements[3] = aka(3, 1, [0; 16]);
        let profile = PreinstalledProfile::new(&metadata.encode(), &elements.concat(), *enabled).unwrap();
        config.preinstalled.push(profile);
    }
    Lab::with(config, Curve::P256)
}

fn switch(lab: &mut Lab, tag: u32, text: &str, refresh: bool) -> u32 {
    let request = SwitchRequest { profile: ProfileId::Iccid(iccid(text)), refresh };
    parse_result(tag, &lab.es10(&request.encode(tag))).unwrap()
}

fn enable(lab: &mut Lab, text: &str) -> u32 {
    switch(lab, TAG_ENABLE_PROFILE, text, true)
}

fn disable(lab: &mut Lab, text: &str) -> u32 {
    switch(lab, TAG_DISABLE_PROFILE, text, false)
}

fn delete(lab: &mut Lab, text: &str) -> u32 {
    let request = encode_delete_request(&ProfileId::Iccid(iccid(text)));
    parse_result(TAG_DELETE_PROFILE, &lab.es10(&request)).unwrap()
}

fn reset_memory(lab: &mut Lab, options: &[u8]) -> u32 {
    let request = encode_memory_reset_request(NamedBits::of(options));
    parse_result(TAG_MEMORY_RESET, &lab.es10(&request)).unwrap()
}

/// The ICCIDs on the card, the enabled one with a star.
fn profiles(lab: &Lab) -> Vec<String> {
    let star = |enabled| if enabled { "*" } else { "" };
    lab.card.profiles().iter().map(|p| format!("{}{}", p.iccid, star(p.state == ProfileState::Enabled))).collect()
}

fn infos(lab: &mut Lab, search: ProfileSearch, tags: Option<&[u32]>) -> Result<Vec<ProfileInfo>, u32> {
    let tags = tags.map(|tags| tags.iter().copied().map(Tag).collect());
    let response = lab.es10(&GetProfilesInfoRequest { search, tags }.encode());
    parse_profiles_info_response(&response).unwrap()
}

const OPERATIONAL: ProfileClass = ProfileClass::Operational;

#[test]
fn an_empty_list() {
    // proves: ES10c.GetProfilesInfo; ES10b.ListNotification; ES10b.RetrieveNotificationsList
    let mut lab = lab_with(&[]);
    assert_eq!(lab.hex("BF2D00"), "BF2D02A000");
    assert_eq!(lab.hex("BF2800"), "BF2802A000");
    assert_eq!(lab.hex("BF2B00"), "BF2B02A000");
}

#[test]
fn the_list_to_the_byte() {
    // proves: ES10c.GetProfilesInfo
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], true)]);
    assert_eq!(
        lab.hex("BF2D0D5C0B5A4F9F7090919293959 9B7".replace(' ', "").as_str()),
        format!(
            "BF2D4AA048E3465A0A{}4F10A0000005591010FFFFFFFF89000010009F700101910A{}9209{}930101950102B705800300F110",
            "988842070011713618F0",
            to_hex(b"Operator A"),
            to_hex(b"Profile A"),
        )
    );
}

#[test]
fn lists_by_criterion_and_tag() {
    // proves: ES10c.GetProfilesInfo (1)
    let mut lab = lab_with(&[
        (A, OPERATIONAL, &[2], true),
        (B, ProfileClass::Test, &[], false),
        (C, ProfileClass::Provisioning, &[], false),
    ]);
    let found = |lab: &mut Lab, search| -> Vec<String> {
        infos(lab, search, None).unwrap().iter().map(|info| info.iccid.unwrap().to_string()).collect()
    };
    assert_eq!(found(&mut lab, ProfileSearch::All), [A, B, C]);
    assert_eq!(found(&mut lab, ProfileSearch::One(ProfileId::Iccid(iccid(B)))), [B]);
    assert_eq!(found(&mut lab, ProfileSearch::One(ProfileId::IsdpAid(rsp::Aid::isd_p(0x12)))), [C]);
    assert_eq!(found(&mut lab, ProfileSearch::Class(ProfileClass::Test)), [B]);
    assert_eq!(found(&mut lab, ProfileSearch::One(ProfileId::Iccid(iccid("8988247000111763819")))), [""; 0]);

    // SGP.22 v2.5 §5.7.15: the default list has these, and neither notifications, owner nor rules.
    let all = infos(&mut lab, ProfileSearch::All, None).unwrap();
    assert_eq!(all[0].state, Some(ProfileState::Enabled));
    assert_eq!(all[1].profile_class, Some(ProfileClass::Test));
    assert_eq!(all[0].icon, Some(vec![0x55; 1000]));
    assert_eq!((&all[0].notification_configuration, &all[0].profile_owner), (&None, &None));
    assert_eq!(all[0].profile_policy_rules, None);
    // Unknown tags are passed over.
    let some = infos(&mut lab, ProfileSearch::All, Some(&[0x99, 0xB6, 0xB7, 0x9F7B, 0x5A])).unwrap();
    assert_eq!(some[0].profile_policy_rules, Some(NamedBits::of(&[2])));
    assert_eq!(some[1].profile_policy_rules, None);
    assert_eq!(some[0].notification_configuration.as_ref().unwrap().len(), 1);
    assert_eq!(some[0].profile_owner.as_ref().unwrap().mcc_mnc, [0x00, 0xF1, 0x10]);
    assert_eq!((some[0].isdp_aid.as_ref(), some[0].state), (None, None));
    // A criterion that is none.
    assert_eq!(lab.hex("BF2D05A003930101"), "BF2D03810101");
    assert_eq!(lab.hex("BF2D04A0025A00"), "BF2D03810101");
    assert_eq!(lab.hex("BF2D045C029F FF".replace(' ', "").as_str()), "BF2D03810101");
}

#[test]
fn enabling_disables_the_one_before() {
    // proves: ES10c.EnableProfile (0, 1, 2); ES10c.DisableProfile (0, 1, 2); ES10c.DeleteProfile (0, 1, 2)
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], false), (B, OPERATIONAL, &[], false)]);
    assert_eq!(enable(&mut lab, C), 1);
    assert_eq!(enable(&mut lab, A), 0);
    assert_eq!(enable(&mut lab, A), 2);
    assert_eq!(profiles(&lab), [format!("{A}*"), B.to_owned()]);
    assert_eq!(disable(&mut lab, B), 2);
    assert_eq!(enable(&mut lab, B), 0);
    assert_eq!(profiles(&lab), [A.to_owned(), format!("{B}*")]);
    // Enabled profiles are not deleted; by AID as well as by ICCID.
    assert_eq!(delete(&mut lab, B), 2);
    assert_eq!(lab.hex("BF3217A0124F10A0000005591010FFFFFFFF8900001100810100"), "BF3203800100");
    assert_eq!(disable(&mut lab, B), 2);
    assert_eq!(disable(&mut lab, C), 1);
    assert_eq!(delete(&mut lab, B), 0);
    assert_eq!(delete(&mut lab, B), 1);
    assert_eq!(profiles(&lab), [A]);
    // The forms of the field: refreshFlag as a universal BOOLEAN, an ICCID of nine bytes.
    assert_eq!(lab.hex("BF3111A00C5A0A988842070011713618F00101FF"), "BF3103800100");
    assert_eq!(lab.es10_in(&from_hex("BF3103810100").unwrap(), 255), (Vec::new(), 0x6A80));
    assert_eq!(lab.es10_in(&from_hex("BF3302800 0".replace(' ', "")).unwrap(), 255), (Vec::new(), 0x6A80));
}

#[test]
fn switches_are_notified_in_their_order() {
    // proves: EUICC.Notifications
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], true), (B, OPERATIONAL, &[], false)]);
    enable(&mut lab, B);
    disable(&mut lab, B);
    delete(&mut lab, A);
    let notifications = lab.card.notifications();
    let of = |n: &crate::NotificationSummary| {
        (n.metadata.sequence_number, n.metadata.event().unwrap(), n.metadata.iccid.unwrap().to_string())
    };
    use NotificationEvent::{Delete, Disable, Enable};
    assert_eq!(
        notifications.iter().map(of).collect::<Vec<_>>(),
        [(1, Disable, A.to_owned()), (2, Enable, B.to_owned()), (3, Disable, B.to_owned()), (4, Delete, A.to_owned())]
    );
    for notification in &notifications {
        let PendingNotification::Other(other) = PendingNotification::parse(&notification.signed).unwrap() else {
            panic!("an OtherSignedNotification")
        };
        assert!(lab.euicc.public_key().verify(&[other.metadata.raw], other.signature));
        assert_eq!(other.metadata.address, "notify.example.com");
    }
    let events = lab.card.drain_events();
    let switched: Vec<&CardEvent> = events
        .iter()
        .filter(|e| {
            matches!(e, CardEvent::ProfileEnabled(_) | CardEvent::ProfileDisabled(_) | CardEvent::ProfileDeleted(_))
        })
        .collect();
    assert_eq!(
        switched,
        [
            &CardEvent::ProfileDisabled(iccid(A)),
            &CardEvent::ProfileEnabled(iccid(B)),
            &CardEvent::ProfileDisabled(iccid(B)),
            &CardEvent::ProfileDeleted(iccid(A)),
        ]
    );
}

#[test]
fn profiles_without_configuration_are_not_notified() {
    // proves: EUICC.Notifications
    let mut lab = Lab::new(Curve::P256);
    let mut order = order(A);
    order.metadata.notification_configuration =
        vec![NotificationConfiguration { events: NamedBits::of(&[3]), address: "x.example".to_owned() }];
    lab.install(&order);
    enable(&mut lab, A);
    disable(&mut lab, A);
    assert_eq!(lab.card.notifications().len(), 1);
    delete(&mut lab, A);
    assert_eq!(lab.card.notifications().len(), 2);
}

#[test]
fn notifications_are_listed_retrieved_and_removed() {
    // proves: ES10b.ListNotification; ES10b.RetrieveNotificationsList; ES10b.RemoveNotificationFromList (0, 1)
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], false)]);
    enable(&mut lab, A);
    disable(&mut lab, A);
    enable(&mut lab, A);
    let listed = |lab: &mut Lab, events: Option<&[u8]>| -> Vec<u32> {
        let response = lab.es10(&encode_list_request(events.map(NamedBits::of)));
        parse_list_response(&response).unwrap().unwrap().iter().map(|m| m.sequence_number).collect()
    };
    assert_eq!(listed(&mut lab, None), [1, 2, 3]);
    assert_eq!(listed(&mut lab, Some(&[1])), [1, 3]);
    assert_eq!(listed(&mut lab, Some(&[2, 3])), [2]);
    assert_eq!(listed(&mut lab, Some(&[0])), [0; 0]);
    let retrieved = |lab: &mut Lab, search| -> Vec<u32> {
        let response = lab.es10(&encode_retrieve_request(search));
        let list = parse_retrieve_response(&response).unwrap().unwrap();
        list.iter().map(|notification| notification.metadata().sequence_number).collect()
    };
    assert_eq!(retrieved(&mut lab, NotificationSearch::All), [1, 2, 3]);
    assert_eq!(retrieved(&mut lab, NotificationSearch::SequenceNumber(2)), [2]);
    assert_eq!(retrieved(&mut lab, NotificationSearch::SequenceNumber(9)), [0; 0]);
    assert_eq!(retrieved(&mut lab, NotificationSearch::Events(NamedBits::of(&[1]))), [1, 3]);
    // What the harness sees is what the card hands out.
    let handed_out = lab.es10(&encode_retrieve_request(NotificationSearch::SequenceNumber(1)));
    assert!(handed_out.ends_with(&lab.card.notifications()[0].signed));

    assert_eq!(to_hex(&lab.es10(&encode_remove_request(2))), "BF3003800100");
    assert_eq!(to_hex(&lab.es10(&encode_remove_request(2))), "BF3003800101");
    assert_eq!(listed(&mut lab, None), [1, 3]);
    // Numbers are never used twice, not even after the last was removed, and not after a reset.
    lab.es10(&encode_remove_request(3));
    lab.open();
    disable(&mut lab, A);
    assert_eq!(listed(&mut lab, None), [1, 4]);
    for malformed in ["BF28028101", "BF2B03A00182", "BF3000"] {
        assert_eq!(lab.es10_in(&from_hex(malformed).unwrap(), 255), (Vec::new(), 0x6A80), "{malformed}");
    }
}

#[test]
fn policy_rules_are_enforced() {
    // proves: EUICC.ProfilePolicyRules; ES10c.EnableProfile (3); ES10c.DisableProfile (3); ES10c.DeleteProfile (3)
    // SGP.22 v2.5 §2.9.3.3: PPR1 (bit 1) keeps a profile enabled, PPR2 (bit 2) keeps it at all.
    let mut lab = lab_with(&[
        (A, OPERATIONAL, &[1], true),
        (B, OPERATIONAL, &[2], false),
        (C, ProfileClass::Provisioning, &[], false),
    ]);
    assert_eq!(disable(&mut lab, A), 3);
    assert_eq!(enable(&mut lab, B), 3);
    assert_eq!(delete(&mut lab, B), 3);
    assert_eq!(profiles(&lab), [format!("{A}*"), B.to_owned(), C.to_owned()]);
    // A provisioning profile comes through.
    assert_eq!(enable(&mut lab, C), 0);
    assert_eq!(profiles(&lab), [A.to_owned(), B.to_owned(), format!("{C}*")]);
    // SGP.22 v2.5 §5.7.19: memory reset asks no rule.
    assert_eq!(enable(&mut lab, A), 0);
    assert_eq!(reset_memory(&mut lab, &[0]), 0);
    assert_eq!(profiles(&lab), [C]);
}

#[test]
fn test_profiles_give_way_to_what_was_before() {
    // proves: EUICC.TestProfiles; ES10c.EnableProfile (4)
    let mut lab =
        lab_with(&[(A, OPERATIONAL, &[1], true), (B, ProfileClass::Test, &[], false), (C, OPERATIONAL, &[], false)]);
    // Not even PPR1 is in the way of a test profile.
    assert_eq!(enable(&mut lab, B), 0);
    assert_eq!(enable(&mut lab, C), 4);
    assert_eq!(disable(&mut lab, B), 0);
    assert_eq!(profiles(&lab), [format!("{A}*"), B.to_owned(), C.to_owned()]);
    assert_eq!(enable(&mut lab, B), 0);
    assert_eq!(enable(&mut lab, A), 0);
    assert_eq!(profiles(&lab), [format!("{A}*"), B.to_owned(), C.to_owned()]);
    // With nothing before, nothing comes back.
    let mut lab = lab_with(&[(B, ProfileClass::Test, &[], false), (C, OPERATIONAL, &[], false)]);
    assert_eq!(enable(&mut lab, B), 0);
    assert_eq!(enable(&mut lab, C), 4);
    assert_eq!(disable(&mut lab, B), 0);
    assert_eq!(profiles(&lab), [B, C]);
    // What was before is deleted meanwhile.
    assert_eq!(enable(&mut lab, C), 0);
    assert_eq!(enable(&mut lab, B), 0);
    assert_eq!(delete(&mut lab, C), 0);
    assert_eq!(disable(&mut lab, B), 0);
    assert_eq!(profiles(&lab), [B]);
}

#[test]
fn nicknames() {
    // proves: ES10c.SetNickname (0, 1, 127)
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], false)]);
    let set = |lab: &mut Lab, text: &str, nickname: &str| {
        parse_result(TAG_SET_NICKNAME, &lab.es10(&encode_set_nickname_request(&iccid(text), nickname))).unwrap()
    };
    assert_eq!(set(&mut lab, A, "Büro"), 0);
    assert_eq!(infos(&mut lab, ProfileSearch::All, None).unwrap()[0].nickname.as_deref(), Some("Büro"));
    assert_eq!(lab.card.profiles()[0].nickname.as_deref(), Some("Büro"));
    assert_eq!(set(&mut lab, B, "x"), 1);
    assert_eq!(set(&mut lab, A, &"x".repeat(64)), 0);
    assert_eq!(set(&mut lab, A, &"x".repeat(65)), 127);
    assert_eq!(set(&mut lab, A, ""), 0);
    assert_eq!(lab.card.profiles()[0].nickname, None);
    // No UTF-8.
    assert_eq!(lab.hex("BF290F5A0A988842070011713618F09001FF"), "BF290380017F");
}

#[test]
fn memory_reset() {
    // proves: ES10c.eUICCMemoryReset (0, 1)
    let all = [
        (A, OPERATIONAL, &[][..], true),
        (B, ProfileClass::Test, &[][..], false),
        (C, ProfileClass::Provisioning, &[][..], false),
    ];
    // The factory's test profile stays, one loaded later goes.
    let mut lab = lab_with(&all);
    assert_eq!(reset_memory(&mut lab, &[1]), 1);
    let loaded = "8988247000111763813";
    let mut order = order(loaded);
    order.metadata.profile_class = ProfileClass::Test;
    order.package = {
        let mut elements = elements(loaded);
        elements[3] = aka(3, 1, [0; 16]);
        elements.concat()
    };
    lab.install(&order);
    let free = lab.card.free_memory();
    assert_eq!(reset_memory(&mut lab, &[1]), 0);
    assert_eq!(profiles(&lab), [format!("{A}*"), B.to_owned(), C.to_owned()]);
    assert!(lab.card.free_memory() > free);

    // Operational ones in any state, with a notification each.
    assert_eq!(reset_memory(&mut lab, &[0, 1]), 0);
    assert_eq!(profiles(&lab), [B, C]);
    let last = lab.card.notifications().pop().unwrap().metadata;
    assert_eq!((last.event(), last.iccid), (Some(NotificationEvent::Delete), Some(iccid(A))));
    assert_eq!(reset_memory(&mut lab, &[0]), 1);
    assert_eq!(reset_memory(&mut lab, &[]), 1);

    // The default SM-DP+ address goes back to that of the factory.
    assert_eq!(reset_memory(&mut lab, &[2]), 1);
    lab.hex("BF3F078005782E636F6D");
    assert_eq!(lab.card.default_smdp(), Some("x.com"));
    assert_eq!(reset_memory(&mut lab, &[2]), 0);
    assert_eq!(lab.card.default_smdp(), None);
}

#[test]
fn a_memory_reset_ends_a_session() {
    // proves: ES10c.eUICCMemoryReset
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], true)]);
    let otpk = lab.prepared();
    let package = lab.bind(&order(B), &otpk);
    assert_eq!(reset_memory(&mut lab, &[0]), 0);
    let first = rsp::bpp::load_commands(&package).unwrap()[0];
    assert_eq!(lab.es10_in(first, 255), (Vec::new(), 0x6985));
}

#[test]
fn a_card_with_no_credentials_still_lives() {
    let mut config = config(&[]);
    let profile = PreinstalledProfile::new(&metadata(A).encode(), &elements(A).concat(), false).unwrap();
    config.preinstalled.push(profile);
    let mut card = crate::Euicc::new(config, Box::new(rsp::crypto::SystemRandom));
    card.reset();
    let mut send = |apdu: &str| to_hex(&card.transmit(&from_hex(apdu).unwrap(), NOW));
    assert_eq!(send("00A4040C10A0000005591010FFFFFFFF8900000100"), "9000");
    assert_eq!(send("80E2910003BF2000"), "610C");
    assert_eq!(send("00C000000C"), "BF20098203020500A900AA009000");
    assert_eq!(send("80E2910014BF3111A00C5A0A988842070011713618F0810100"), "6106");
    assert_eq!(send("00C0000006"), "BF31038001009000");
}

#[test]
fn the_oldest_notification_goes_when_there_are_too_many() {
    // proves: EUICC.Notifications; Robust - lengths, nesting and chains are bounded
    let mut lab = lab_with(&[(A, OPERATIONAL, &[], false)]);
    for _ in 0..150 {
        enable(&mut lab, A);
        disable(&mut lab, A);
    }
    let notifications = lab.card.notifications();
    assert_eq!(notifications.len(), 256);
    assert_eq!(notifications.last().unwrap().metadata.sequence_number, 300);
}

#[test]
fn nothing_secret_is_printed() {
    // proves: Robust - no key in Debug output
    let mut lab = lab_with(&[]);
    let otpk = lab.prepared();
    let package = lab.bind(&order(A), &otpk);
    lab.load(rsp::bpp::load_commands(&package).unwrap().into_iter().take(7));
    let printed = format!("{:?}", lab.card);
    assert!(printed.contains("Loader"), "the session is in it");
    // The key of the profile, and the card's own, in any form that Debug has.
    let own = pki().euicc(Curve::P256, &eid()).unwrap().euicc.key.scalar().unwrap();
    for secret in [&[0x46; 16][..], &own[..]] {
        let list = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        assert!(!printed.contains(&list) && !printed.contains(&to_hex(secret)));
    }
}
