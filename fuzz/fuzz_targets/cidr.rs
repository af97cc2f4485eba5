//! Any text as a network, and any addresses: a network parses from what it writes, and a set of networks has
//! the addresses that one of them has.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tidegate_access::{Cidr, CidrSet, ClientAddress};

fuzz_target!(|input: (Vec<String>, u32, u128)| {
    let (texts, v4, v6) = input;
    let networks: Vec<Cidr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    for network in &networks {
        assert_eq!(network.to_string().parse(), Ok(*network));
    }
    let set: CidrSet = networks.iter().collect();
    for address in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
        let address = ClientAddress::from(address);
        assert_eq!(set.contains(address), networks.iter().any(|network| network.contains(address)));
    }
});
