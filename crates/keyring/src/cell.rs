//! Where a sealed value belongs.

use wire::TenantId;
use wire::sabotage::{Defence, stands};

/// The one place in the database where a sealed value may stand; it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// The table's name.
    pub table: &'static str,
    /// The column's name.
    pub column: &'static str,
    /// The row's key: its parts in order, each of a fixed length within the table.
    pub row: &'a [u8],
}

const LABEL: &[u8] = b"mifeng/v1 sealed cell\0";

impl Cell<'_> {
    /// The authenticated data. Names carry their length and the row comes last, so no two cells share an encoding.
    pub(crate) fn authenticated(&self, algorithm: u8, key_version: u32) -> Vec<u8> {
        if !stands(Defence::CellBinding) {
            return LABEL.to_vec();
        }
        let names = [self.table, self.column];
        let len = LABEL.len() + 1 + 4 + TenantId::LEN + names.iter().map(|name| 2 + name.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(len + self.row.len());
        bytes.extend_from_slice(LABEL);
        bytes.push(algorithm);
        bytes.extend_from_slice(&key_version.to_be_bytes());
        bytes.extend_from_slice(self.tenant.as_bytes());
        for name in names {
            bytes.extend_from_slice(&(name.len() as u16).to_be_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes.extend_from_slice(self.row);
        bytes
    }
}
