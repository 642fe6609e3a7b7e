//! Where a partition lies in a cluster. The hash tag `{17}` of partition 17 is the same in all its keys, so
//! that they share a slot, and one call may touch several of them.

/// Slots of a cluster, by its specification.
pub const SLOTS: u16 = 16384;

/// The slot of every key with this partition's tag.
pub fn slot(partition: u8) -> u16 {
    crc16(partition.to_string().as_bytes()) % SLOTS
}

/// CRC16 in the variant of the specification (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // What `CLUSTER KEYSLOT {0}` and so on answer.
        for (partition, expected) in [(0, 13907), (7, 1716), (255, 14163)] {
            assert_eq!(slot(partition), expected, "partition {partition}");
        }
    }
}
