//! The use of limits by address: a table with a bounded number of entries.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::usage::Usage;

/// Addresses with their use, in shards that are locked one by one.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    shard_max: usize,
    hasher: ahash::RandomState,
}

type Shard = HashMap<IpAddr, Arc<Usage>, ahash::RandomState>;

impl Table {
    /// A table that remembers `addresses_max` addresses, or somewhat fewer.
    pub(super) fn new(addresses_max: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, shard_max: addresses_max.div_ceil(SHARDS), hasher: ahash::RandomState::new() }
    }

    /// The use by an address. When the table is full, an idle address makes room; if none is idle, any other
    /// one that has no open connection. If all have one, this address is not remembered.
    pub(super) fn usage(&self, address: IpAddr, now: Duration) -> Arc<Usage> {
        let index = self.hasher.hash_one(address) % SHARDS as u64;
        let shard = usize::try_from(index).ok().and_then(|index| self.shards.get(index));
        let Some(shard) = shard else { return Arc::default() };
        let mut shard = shard.lock();
        if let Some(usage) = shard.get(&address) {
            return Arc::clone(usage);
        }
        if shard.len() >= self.shard_max {
            tidy(&mut shard, now);
        }
        if shard.len() >= self.shard_max {
            let unused = shard.iter().find(|(_, usage)| Arc::strong_count(usage) == 1);
            let unused = unused.map(|(address, _)| *address);
            match unused {
                Some(unused) => _ = shard.remove(&unused),
                None => return Arc::default(),
            }
        }
        Arc::clone(shard.entry(address).or_default())
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Forgets the idle addresses.
    pub(super) fn tidy(&self, now: Duration) {
        for shard in &self.shards {
            tidy(&mut shard.lock(), now);
        }
    }
}

fn tidy(shard: &mut Shard, now: Duration) {
    shard.retain(|_, usage| Arc::strong_count(usage) > 1 || !usage.is_idle(now));
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded() {
        let table = Table::new(128);
        for number in 0..10_000_u32 {
            let _usage = table.usage(IpAddr::from(number.to_be_bytes()), Duration::ZERO);
        }
        assert!(table.len() <= 128);
        let held: Vec<_> = (0..10_000_u32)
            .map(|number| table.usage(IpAddr::from(number.to_be_bytes()), Duration::ZERO))
            .collect();
        assert!(table.len() <= 128 && held.len() == 10_000);
        assert!(Arc::ptr_eq(&table.usage([0, 0, 0, 0].into(), Duration::ZERO), &held[0]));
    }
}
