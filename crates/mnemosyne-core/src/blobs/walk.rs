//! A serializer that writes nothing and remembers which blobs it came across.

use std::fmt;

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Blobs;

/// The type that refers to a blob, and its field that names it.
const BLOB_REF: &str = "BlobRef";
const HASH: &str = "hash";

/// Goes through a value.
pub(super) struct Walk<'b> {
    found: &'b mut Blobs,
    /// The bytes of the name that it is at.
    hash: Option<Vec<u8>>,
}

impl<'b> Walk<'b> {
    pub(super) fn new(found: &'b mut Blobs) -> Self {
        Self { found, hash: None }
    }

    fn name_of_blob<T: Serialize + ?Sized>(&mut self, hash: &T) -> Result<(), Refused> {
        self.hash = Some(Vec::with_capacity(32));
        hash.serialize(&mut *self)?;
        let hash = self.hash.take().and_then(|hash| <[u8; 32]>::try_from(hash).ok());
        self.found.insert(hash.ok_or_else(|| ser::Error::custom("a blob is named by 32 bytes"))?);
        Ok(())
    }
}

/// Why a value cannot be gone through.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(String);

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// What refers to nothing.
macro_rules! nothing {
    ($($method:ident($type:ty)),+ $(,)?) => {
        $(
            fn $method(self, _: $type) -> Result<(), Refused> {
                Ok(())
            }
        )+
    };
}

impl<'w, 'b> Serializer for &'w mut Walk<'b> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Parts<'w, 'b>;
    type SerializeTuple = Parts<'w, 'b>;
    type SerializeTupleStruct = Parts<'w, 'b>;
    type SerializeTupleVariant = Parts<'w, 'b>;
    type SerializeMap = Parts<'w, 'b>;
    type SerializeStruct = Parts<'w, 'b>;
    type SerializeStructVariant = Parts<'w, 'b>;

    nothing! {
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_f32(f32),
        serialize_f64(f64),
        serialize_char(char),
        serialize_str(&str),
        serialize_unit_struct(&'static str),
    }

    fn serialize_u8(self, byte: u8) -> Result<(), Refused> {
        if let Some(hash) = &mut self.hash {
            hash.push(byte);
        }
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Refused> {
        if let Some(hash) = &mut self.hash {
            hash.extend(bytes);
        }
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refused> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Refused> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Refused> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: false })
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: false })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: false })
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: false })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: false })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: name == BLOB_REF })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'w, 'b>, Refused> {
        Ok(Parts { walk: self, is_blob: false })
    }

    /// What is read by machines is gone through.
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Goes through what a value consists of.
pub(super) struct Parts<'w, 'b> {
    walk: &'w mut Walk<'b>,
    is_blob: bool,
}

/// Parts without a name.
macro_rules! unnamed {
    ($($kind:ident::$method:ident),+ $(,)?) => {
        $(
            impl $kind for Parts<'_, '_> {
                type Ok = ();
                type Error = Refused;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
                    value.serialize(&mut *self.walk)
                }

                fn end(self) -> Result<(), Refused> {
                    Ok(())
                }
            }
        )+
    };
}

unnamed! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

impl SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        key.serialize(&mut *self.walk)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        value.serialize(&mut *self.walk)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl SerializeStruct for Parts<'_, '_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Refused> {
        if self.is_blob && name == HASH {
            self.walk.name_of_blob(value)
        } else {
            value.serialize(&mut *self.walk)
        }
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl SerializeStructVariant for Parts<'_, '_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), Refused> {
        value.serialize(&mut *self.walk)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}
