//! What administrators may do. Every operation has a rule, or this file does not compile.

/// An operation of the admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdminOp {
    /// Makes a tenant.
    CreateTenant,
    /// Lists the tenants.
    ListTenants,
    /// Destroys a tenant with everything that belongs to it.
    DeleteTenant,
    /// Makes an invite into a tenant.
    CreateInvite,
    /// Closes the account of somebody who has left: none of their devices speaks for them any more.
    CloseUser,
    /// Gives a tenant a stronger cipher suite.
    SetSuite,
}

/// What a caller of the admin listener is, by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the system: configuration and tenants, never content.
    Administrator,
}

/// What is declared of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminRule {
    /// Who may call it.
    pub role: Role,
    /// Whether its success writes an audit row in its own transaction.
    pub audited: bool,
}

impl AdminOp {
    /// Every operation.
    pub const ALL: &'static [Self] = &[
        Self::CreateTenant,
        Self::ListTenants,
        Self::DeleteTenant,
        Self::CreateInvite,
        Self::CloseUser,
        Self::SetSuite,
    ];

    /// The name in paths, logs and audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateTenant => "create_tenant",
            Self::ListTenants => "list_tenants",
            Self::DeleteTenant => "delete_tenant",
            Self::CreateInvite => "create_invite",
            Self::CloseUser => "close_user",
            Self::SetSuite => "set_suite",
        }
    }

    /// The operation with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.as_str() == name)
    }
}

/// The rule of an operation.
pub const fn rule(op: AdminOp) -> AdminRule {
    match op {
        AdminOp::CreateTenant
        | AdminOp::DeleteTenant
        | AdminOp::CreateInvite
        | AdminOp::CloseUser
        | AdminOp::SetSuite => AdminRule { role: Role::Administrator, audited: true },
        AdminOp::ListTenants => AdminRule { role: Role::Administrator, audited: false },
    }
}

/// Whether a caller of this role may call the operation.
pub fn permit(op: AdminOp, role: Role) -> bool {
    rule(op).role == role
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_return_and_what_changes_is_audited() {
        for op in AdminOp::ALL {
            assert_eq!(AdminOp::from_name(op.as_str()), Some(*op));
            assert_eq!(rule(*op).audited, !op.as_str().starts_with("list"), "{op:?}");
        }
    }
}
