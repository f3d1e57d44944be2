//! The two slots of the signing key (docs/decisions/011).

use serde_yaml_ng::Value;

use crate::yaml::{read, resources, shown, template_path};

#[test]
fn both_slots_hold_the_same_kind_of_key() {
    let keys = resources(&read(&template_path()), "AWS::KMS::Key");
    let [(first, a), (second, b)] = keys.as_slice() else { panic!("expected two keys, got {}", keys.len()) };
    assert_eq!((first.as_str(), second.as_str()), ("SigningKeyA", "SigningKeyB"));
    for part in ["Properties", "DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(a[part], b[part], "{part}");
    }
    assert_eq!(a["Properties"]["KeySpec"], "ECC_NIST_P256");
    assert_eq!(a["Properties"]["KeyUsage"], "SIGN_VERIFY");
    assert_eq!(a["DeletionPolicy"], "Delete", "a slot that is left is empty when it is used again");
}

#[test]
fn the_slots_exclude_each_other() {
    let template = read(&template_path());
    assert_eq!(template["Resources"]["SigningKeyA"]["Condition"], "SignsWithA");
    assert_eq!(template["Resources"]["SigningKeyB"]["Condition"], "SignsWithB");
    assert_eq!(shown(&template["Conditions"]["SignsWithA"]), "!Equals [!Ref SigningKeySlot, a]");
    assert_eq!(shown(&template["Conditions"]["SignsWithB"]), "!Not [!Condition SignsWithA]");
    let slot = &template["Parameters"]["SigningKeySlot"];
    assert_eq!((shown(&slot["AllowedValues"]), &slot["Default"]), ("[a, b]".to_owned(), &Value::from("a")));
}

#[test]
fn whatever_means_the_signing_key_means_that_of_the_slot() {
    let text = std::fs::read_to_string(template_path()).unwrap();
    let chosen =
        ["!If [SignsWithA, !Ref SigningKeyA, !Ref SigningKeyB]", "!If [SignsWithA, !GetAtt SigningKeyA.Arn, !GetAtt SigningKeyB.Arn]"];
    let mentions: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("SigningKeyA") || line.contains("SigningKeyB"))
        .filter(|line| !["SigningKeyA:", "SigningKeyB:", "SigningKeyAlias:"].contains(line))
        .collect();
    for mention in &mentions {
        assert!(chosen.iter().any(|by_slot| mention.ends_with(by_slot)), "{mention}");
    }
    assert_eq!(mentions.len(), 6, "two functions with a variable and a right each, the alias and the output");
}
