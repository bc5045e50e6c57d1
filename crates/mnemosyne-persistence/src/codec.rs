//! Little-endian numbers in and out of bytes.

/// Reads numbers and slices from bytes that may be anything; `None` is "not enough bytes".
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'bytes> {
    bytes: &'bytes [u8],
    position: usize,
}

impl<'bytes> Decoder<'bytes> {
    pub(crate) fn new(bytes: &'bytes [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes were read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'bytes [u8]> {
        let end = self.position.checked_add(length)?;
        let slice = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(slice)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length of 32 bits followed by as many bytes.
    pub(crate) fn sized(&mut self) -> Option<&'bytes [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }
}

/// Appends numbers to a buffer.
pub(crate) trait Encoder {
    fn put_u8(&mut self, value: u8);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);

    /// A length of 32 bits followed by the bytes. The caller has bounded the length.
    fn put_sized(&mut self, bytes: &[u8]);
}

impl Encoder for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_sized(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("lengths are bounded before encoding");
        self.put_u32(length);
        self.extend_from_slice(bytes);
    }
}
