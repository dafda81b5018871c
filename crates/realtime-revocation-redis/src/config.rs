//! Where Redis is, and how it is used: what all backends over a pool have, under this one's name.

use realtime_core::revocation::RevocationError;

use crate::error::invalid_deployment;

realtime_redis::__redis_config! {
    module: "revocation",
    keys: "these revocations",
    timeout: "; so may each call",
    error: RevocationError,
    kind: "[`InvalidOption`](realtime_core::revocation::RevocationErrorKind::InvalidOption)",
    invalid: invalid_deployment,
}

#[cfg(test)]
mod tests {
    use realtime_core::revocation::RevocationErrorKind;

    use super::*;

    #[test]
    fn nonsense_is_a_fault_of_the_configuration() {
        for url in [
            "redis://u:s3cret@h/x",
            "redis://u:s3cret@h?s3cret=1",
            "s3cret",
        ] {
            let error = RedisConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), RevocationErrorKind::InvalidOption, "{url}");
            assert!(!error.is_transient());
            assert!(!format!("{error:?}").contains("s3cret"), "{url}: {error:?}");
        }
        let builder = RedisConfig::builder("redis://:s3cret@h").pool_size(0);
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert!(builder.build().is_err());
    }
}
