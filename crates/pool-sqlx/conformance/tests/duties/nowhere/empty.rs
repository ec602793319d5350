//! What a driver has to name and a pool never sees: rows, values, statements.

use std::{borrow::Cow, fmt};

use either::Either;
use sqlx_core::{
    Error,
    arguments::{Arguments, IntoArguments},
    column::{Column, ColumnIndex},
    encode::Encode,
    error::BoxDynError,
    impl_statement_query,
    row::Row,
    sql_str::SqlStr,
    statement::Statement,
    type_info::TypeInfo,
    types::Type,
    value::{Value, ValueRef},
};

use super::Nowhere;

#[derive(Debug)]
pub(crate) enum NoRow {}

impl Row for NoRow {
    type Database = Nowhere;

    fn columns(&self) -> &[NoColumn] {
        match *self {}
    }

    fn try_get_raw<I: ColumnIndex<Self>>(&self, _: I) -> Result<NoValue, Error> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum NoColumn {}

impl Column for NoColumn {
    type Database = Nowhere;

    fn ordinal(&self) -> usize {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }

    fn type_info(&self) -> &NoType {
        match *self {}
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NoType {}

impl TypeInfo for NoType {
    fn is_null(&self) -> bool {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }
}

impl fmt::Display for NoType {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum NoValue {}

impl Value for NoValue {
    type Database = Nowhere;

    fn as_ref(&self) -> NoValue {
        match *self {}
    }

    fn type_info(&self) -> Cow<'_, NoType> {
        match *self {}
    }

    fn is_null(&self) -> bool {
        match *self {}
    }
}

impl ValueRef<'_> for NoValue {
    type Database = Nowhere;

    fn to_owned(&self) -> NoValue {
        match *self {}
    }

    fn type_info(&self) -> Cow<'_, NoType> {
        match *self {}
    }

    fn is_null(&self) -> bool {
        match *self {}
    }
}

#[derive(Debug, Default)]
pub(crate) struct NoResult;

impl Extend<NoResult> for NoResult {
    fn extend<T: IntoIterator<Item = NoResult>>(&mut self, _: T) {}
}

#[derive(Debug, Default)]
pub(crate) struct NoArguments;

impl Arguments for NoArguments {
    type Database = Nowhere;

    fn reserve(&mut self, _: usize, _: usize) {}

    fn add<'t, T>(&mut self, _: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, Nowhere> + Type<Nowhere>,
    {
        Ok(())
    }

    fn len(&self) -> usize {
        0
    }
}

impl IntoArguments<Nowhere> for NoArguments {
    fn into_arguments(self) -> NoArguments {
        self
    }
}

#[derive(Clone, Debug)]
pub(crate) enum NoStatement {}

impl Statement for NoStatement {
    type Database = Nowhere;

    fn into_sql(self) -> SqlStr {
        match self {}
    }

    fn sql(&self) -> &SqlStr {
        match *self {}
    }

    fn parameters(&self) -> Option<Either<&[NoType], usize>> {
        match *self {}
    }

    fn columns(&self) -> &[NoColumn] {
        match *self {}
    }

    impl_statement_query!(NoArguments);
}
