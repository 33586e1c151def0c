use crate::words::KeyId;

use super::{Authorization, PrivateKey, verify};

#[test]
fn what_is_signed_is_verified() {
    let key = PrivateKey::from_seed(&[7; 32]);
    let id = KeyId::new("seller.example", Some("key-1".to_owned()));
    let header = key.authorization(&id, b"{}", 1, 2);
    let authorization = Authorization::parse(&header).unwrap();
    assert!(verify(&authorization, &key.public(), b"{}"));
    assert!(!verify(&authorization, &key.public(), b"{ }"));
}
