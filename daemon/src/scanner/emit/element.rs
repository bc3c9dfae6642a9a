//! DICOM elements as bytes, explicit little-endian.

/// Elements one after the other; the caller keeps them in ascending order.
#[derive(Debug, Clone, Default)]
pub(super) struct Elements(pub(super) Vec<u8>);

impl Elements {
    /// An element with its value padded to even length by `padding`.
    fn put(&mut self, tag: (u16, u16), vr: &[u8; 2], value: &[u8], padding: u8) {
        let length = value.len().next_multiple_of(2);
        self.0.extend(tag.0.to_le_bytes());
        self.0.extend(tag.1.to_le_bytes());
        self.0.extend(vr);
        if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN" | b"UT") {
            self.0.extend([0, 0]);
            self.0.extend((length as u32).to_le_bytes());
        } else {
            self.0.extend((length as u16).to_le_bytes());
        }
        self.0.extend(value);
        self.0.resize(self.0.len() + length - value.len(), padding);
    }

    pub(super) fn text(&mut self, tag: (u16, u16), vr: &[u8; 2], text: &str) -> &mut Self {
        self.put(tag, vr, text.as_bytes(), if vr == b"UI" { 0 } else { b' ' });
        self
    }

    pub(super) fn bytes(&mut self, tag: (u16, u16), vr: &[u8; 2], bytes: &[u8]) -> &mut Self {
        self.put(tag, vr, bytes, 0);
        self
    }

    pub(super) fn short(&mut self, tag: (u16, u16), value: usize) -> &mut Self {
        self.bytes(tag, b"US", &(value as u16).to_le_bytes())
    }

    pub(super) fn long(&mut self, tag: (u16, u16), value: usize) -> &mut Self {
        self.bytes(tag, b"UL", &(value as u32).to_le_bytes())
    }

    /// Decimal strings of at most 16 characters, six digits after the point: a nanometre.
    pub(super) fn decimals(&mut self, tag: (u16, u16), values: &[f64]) -> &mut Self {
        let words: Vec<String> = values.iter().map(|value| format!("{value:.6}")).collect();
        self.text(tag, b"DS", &words.join("\\"))
    }

    pub(super) fn sequence(&mut self, tag: (u16, u16), items: &[Self]) -> &mut Self {
        let mut value = Vec::new();
        for item in items {
            value.extend([0xFE, 0xFF, 0x00, 0xE0]);
            value.extend((item.0.len() as u32).to_le_bytes());
            value.extend(&item.0);
        }
        self.bytes(tag, b"SQ", &value)
    }

    /// A file of these elements.
    pub(super) fn into_file(self, sop_class: &str, sop_instance: &str) -> Vec<u8> {
        let mut meta = Self::default();
        meta.bytes((2, 1), b"OB", &[0, 1]).text((2, 2), b"UI", sop_class).text((2, 3), b"UI", sop_instance);
        meta.text((2, 0x10), b"UI", "1.2.840.10008.1.2.1").text((2, 0x12), b"UI", "2.25.1");
        let mut file = Self(vec![0; 128]);
        file.0.extend(b"DICM");
        file.bytes((2, 0), b"UL", &(meta.0.len() as u32).to_le_bytes());
        file.0.extend(meta.0);
        file.0.extend(self.0);
        file.0
    }
}
