//! How Kafka producers choose the partition of a key, so that a task knows where a conversation lives.
//!
//! Sources: `Utils.murmur2` of Kafka's Java clients; `rdcrc32.c` and `rdfnv1a.c` of librdkafka. No maintained crate has
//! Kafka's MurmurHash2 with its seed, and `fnv` hashes to 64 bits.

/// A hash from keys to partitions that producers have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Partitioner {
    /// MurmurHash2, the default of the Java clients.
    #[default]
    Murmur2,
    /// CRC-32, the default of librdkafka and of the clients built on it.
    Crc32,
    /// FNV-1a with 32 bits, as in Sarama.
    Fnv1a,
}

impl Partitioner {
    /// All partitioners.
    pub const ALL: [Self; 3] = [Self::Murmur2, Self::Crc32, Self::Fnv1a];

    /// Returns the partitioner that a value of librdkafka's property `partitioner` names. `None` for `random` and for a
    /// value that librdkafka does not know.
    #[must_use]
    pub fn from_property(value: &str) -> Option<Self> {
        let hash = value.strip_suffix("_random").unwrap_or(value);
        Self::ALL.into_iter().find(|partitioner| partitioner.property().strip_suffix("_random") == Some(hash))
    }

    /// Returns the value of librdkafka's property `partitioner` for it.
    #[must_use]
    pub fn property(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2_random",
            Self::Crc32 => "consistent_random",
            Self::Fnv1a => "fnv1a_random",
        }
    }

    /// Returns the partition of a key, of `partitions` in all.
    #[must_use]
    pub fn partition(self, key: &[u8], partitions: u32) -> u32 {
        let hash = match self {
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Self::Crc32 => crc32fast::hash(key),
            Self::Fnv1a => fnv1a(key),
        };
        hash % partitions.max(1)
    }
}

fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const FACTOR: u32 = 0x5bd1_e995;
    let words = key.chunks_exact(4);
    let rest = words.remainder();
    // Kafka's keys are shorter than 4 GiB.
    let mut hash = SEED ^ key.len() as u32;
    for word in words {
        let mut mixed =
            word.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte)).wrapping_mul(FACTOR);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ mixed.wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> 15
}

/// Returns the absolute value of the signed hash, as Sarama takes it.
fn fnv1a(key: &[u8]) -> u32 {
    let hash =
        key.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys with their hashes by the unit tests of librdkafka (`rdmurmur2.c`, `rdfnv1a.c`), which took them from the
    /// Java and Go clients, and by zlib.
    const HASHES: [(&str, u32, u32, u32); 9] = [
        ("kafka", 0xd067_cf64, 0x0d33_c4e1, 0x5bbc_7517),
        ("giberish123456789", 0x8f55_2b0c, 0x77a5_8295, 0x7b3a_8e3f),
        ("1234", 0x9fc9_7b14, 0x023b_dd03, 0x9be3_e0a3),
        ("234", 0xe7c0_09ca, 0x2dea_3cd2, 0x0d71_7969),
        ("34", 0x8739_30da, 0x740f_a83e, 0x9406_837a),
        ("4", 0x5a4b_5ca1, 0x310c_a263, 0xf3b6_1b38),
        ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x7842_4f1c, 0x65cb_d69c, 0xddcb_a83a),
        ("reAmbleWillBeRemoved,ThePrePartThatIs", 0x4a62_b377, 0x6e49_c79a, 0x6f09_78f7),
        ("", 0x106e_08d9, 0x7ee3_623b, 0x0000_0000),
    ];

    #[test]
    fn hashes_are_those_of_the_clients() {
        for (key, murmur, fnv, crc) in HASHES {
            assert_eq!((murmur2(key.as_bytes()), fnv1a(key.as_bytes())), (murmur, fnv), "{key}");
            assert_eq!(crc32fast::hash(key.as_bytes()), crc, "{key}");
        }
    }

    #[test]
    fn a_property_names_its_partitioner() {
        for (value, partitioner) in [
            ("murmur2", Some(Partitioner::Murmur2)),
            ("murmur2_random", Some(Partitioner::Murmur2)),
            ("consistent", Some(Partitioner::Crc32)),
            ("consistent_random", Some(Partitioner::Crc32)),
            ("fnv1a", Some(Partitioner::Fnv1a)),
            ("random", None),
            ("", None),
        ] {
            assert_eq!(Partitioner::from_property(value), partitioner, "{value}");
        }
    }
}
