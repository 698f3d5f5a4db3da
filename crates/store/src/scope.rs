//! Whose rows a transaction may reach, and what it keeps others from doing meanwhile.
//!
//! SQLite has one writer and no row-level security: there, that every statement names its tenant is all. On PostgreSQL the
//! database checks it once more.

use wire::TenantId;

/// Whose rows a transaction may reach. In order: every tenant's part of a batch is together, and the operator's is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    is_operator: bool,
    tenant: Option<TenantId>,
}

impl Scope {
    /// One tenant's.
    pub(crate) const fn of(tenant: TenantId) -> Self {
        Self { is_operator: false, tenant: Some(tenant) }
    }

    /// The list of tenants, and nothing inside them.
    pub(crate) const OPERATOR: Self = Self { is_operator: true, tenant: None };

    /// The operator at work on one tenant.
    pub(crate) const fn operator_on(tenant: TenantId) -> Self {
        Self { is_operator: true, tenant: Some(tenant) }
    }

    pub(crate) const fn tenant(self) -> Option<TenantId> {
        self.tenant
    }

    pub(crate) const fn is_operator(self) -> bool {
        self.is_operator
    }

    /// As `app.tenant` holds it: 32 hexadecimal digits, or nothing.
    pub(crate) fn tenant_text(self) -> String {
        let number = self.tenant.map(|tenant| u128::from_be_bytes(*tenant.as_bytes()));
        number.map_or_else(String::new, |number| format!("{number:032x}"))
    }
}

/// What two writers must not do at once to one tenant, where no row can be locked: until the end of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Numbering audit records.
    Audit(TenantId),
    /// Wrapping a new data key: not while the tenant's key is rotated.
    WrapKey(TenantId),
    /// Rotating the tenant's key.
    RotateKey(TenantId),
}

impl Lock {
    /// Others may hold the same.
    pub(crate) const fn is_shared(self) -> bool {
        matches!(self, Self::WrapKey(_))
    }

    /// Two that differ may have the same number: then they wait for each other in vain, and no more.
    pub(crate) fn number(self) -> i64 {
        let (tenant, what) = match self {
            Self::Audit(tenant) => (tenant, 1),
            Self::WrapKey(tenant) | Self::RotateKey(tenant) => (tenant, 2),
        };
        let [a, b, c, d, e, f, g, h, ..] = *tenant.as_bytes();
        i64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_comes_last_and_a_tenant_is_together() {
        let (one, two) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let mut all = [Scope::operator_on(one), Scope::of(two), Scope::OPERATOR, Scope::of(one), Scope::of(two)];
        all.sort();
        assert_eq!(all, [Scope::of(one), Scope::of(two), Scope::of(two), Scope::OPERATOR, Scope::operator_on(one)]);
        assert_eq!(Scope::of(one).tenant_text(), "01".repeat(16));
        assert_eq!(Scope::OPERATOR.tenant_text(), "");
    }
}
